"""Which requests wait during a slow download, which thread sends it, and how much memory that takes."""

import socket
import sys
from contextlib import ExitStack
from dataclasses import replace
from functools import cache

import pytest

from offload_lab.clients import SlowReader, fetch, ping
from offload_lab.inspect.socket_owners import find_socket_owners
from offload_lab.measure.scenarios import memory_mib
from offload_lab.process.polling import wait_for
from offload_lab.stages import manifest
from offload_lab.stages.stage import Stage
from offload_lab.testing import idle_workers, require_linux
from offload_lab.timeouts import scaled

STEP = "01_file_wrapper"


def holder_of(stage, reader):
    """Who holds the reader's connection, once a thread is seen waiting on it."""
    require_linux("to see which thread waits on a connection")
    seen = []

    def take_snapshot():
        seen[:] = [owner for owner in find_socket_owners(stage.port, reader.port, stage.front.pids()) if owner.tid]
        return len(seen) == 1

    wait_for(take_snapshot, 10, "one thread waiting on the reader's socket")
    return seen[0]


@pytest.fixture(scope="module")
def stages():
    """Each variant's stage with its 64 MiB file, started when first asked for."""
    with ExitStack() as exits:
        yield cache(lambda variant: exits.enter_context(Stage(STEP, variant)))


@pytest.mark.core
@pytest.mark.parametrize("variant", ["naive", "file_wrapper"])
def test_a_bystander_is_answered_only_after_the_download_ends(stages, variant):
    stage = stages(variant)
    with SlowReader(stage.port, "/file", rate_mib_s=4) as reader:
        holder = holder_of(stage, reader)
        [worker] = stage.workers()
        assert worker.busy
        assert (holder.pid, holder.tid) == (worker.pid, worker.pid), "the worker's main thread sends the download"
        with socket.create_connection(("127.0.0.1", stage.port), timeout=scaled(30)) as bystander:
            bystander.sendall(b"GET /ping HTTP/1.0\r\n\r\n")
            wait_for(lambda: stage.front.stats()["listen_queue"] == 1, 10, "the bystander in the listen queue")
            bystander.setblocking(False)
            with pytest.raises(BlockingIOError):
                bystander.recv(1)
            assert not reader.done.is_set()
            reader.hurry()
            bystander.settimeout(scaled(30))
            assert bystander.recv(12) == b"HTTP/1.0 200"
    assert idle_workers(stage)[0].offloaded == 0


@pytest.mark.core
def test_bystanders_are_answered_while_an_offload_thread_sends_the_file(stages):
    stage = stages("offload")
    [before] = idle_workers(stage)
    with SlowReader(stage.port, "/file", rate_mib_s=4) as reader:
        holder = holder_of(stage, reader)
        answers = [ping(stage.port, timeout_s=30) for _ in range(20)]
        [after] = idle_workers(stage)
        assert not reader.done.is_set(), "the download must outlast the bystanders"
    assert {answer.pid for answer in answers} == {before.pid}
    assert after.offloaded == before.offloaded + 1
    assert holder.pid == before.pid
    assert holder.tid != before.pid, "the worker's main thread still sends the download"


@pytest.mark.parametrize("variant", ["naive", "file_wrapper", "offload"])
def test_the_file_arrives_whole(stages, variant):
    stage = stages(variant)
    answer = fetch(stage.port, "/file")
    assert (answer.status, answer.headers["Content-Length"]) == (200, str(64 * 2**20))
    assert answer.body == (stage.run / "big.bin").read_bytes()


def mib_in_mid_download(stage):
    """The worker's memory while a client downloads, in MiB."""
    with SlowReader(stage.port, "/file", rate_mib_s=1) as reader:
        holder_of(stage, reader)
        return memory_mib(stage.workers()[0].pid)


def growth_mib(stages, variant):
    """What a file of 256 MiB takes more than one of 64 MiB, in MiB."""
    with Stage(STEP, variant, placeholders={"mib": "256"}) as large:
        return mib_in_mid_download(large) - mib_in_mid_download(stages(variant))


def test_naive_takes_memory_for_the_whole_file(stages):
    assert growth_mib(stages, "naive") > 150


@pytest.mark.parametrize("variant", ["file_wrapper", "offload"])
def test_the_others_take_no_memory_for_the_file(stages, variant):
    assert abs(growth_mib(stages, variant)) < 16


def test_offload_threads_alone_do_nothing_for_the_naive_app():
    """The app must offload something that uWSGI can send by itself: bytes that Python yields are not."""
    with Stage(STEP, "naive", options=["--offload-threads", "1"]) as stage:
        with SlowReader(stage.port, "/file", rate_mib_s=4) as reader:
            holder = holder_of(stage, reader)
            [worker] = stage.workers()
            assert worker.busy
            assert (holder.tid, worker.offloaded) == (worker.pid, 0)


def test_a_small_file_shows_nothing_since_the_kernel_takes_it_whole():
    """Why the demo's file is large: the worker is free as soon as the last byte is in the kernel's send buffer."""
    with Stage(STEP, "naive", placeholders={"mib": "1"}) as stage:
        with SlowReader(stage.port, "/file", rate_mib_s=0.02) as reader:
            assert ping(stage.port, timeout_s=30).status == 200
            assert not reader.done.is_set(), "the reader is still far from the end"


def take_nothing(stage):
    """A client who asks for the file and never reads."""
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    client.connect(("127.0.0.1", stage.port))
    client.sendall(b"GET /file HTTP/1.0\r\n\r\n")
    return client


def test_a_worker_drops_a_stalled_client_and_an_offload_thread_does_not():
    """uWSGI's socket-timeout, 4 s unless set, counts while a worker waits; nothing like it ends an offloaded one."""
    short = ["--socket-timeout", "1"]
    with Stage(STEP, "offload", options=short) as offload, Stage(STEP, "file_wrapper", options=short) as blocking:
        [before] = idle_workers(blocking)
        with take_nothing(offload) as held, take_nothing(blocking):
            wait_for(lambda: offload.workers()[0].offloaded == 1, 10, "the offload")
            wait_for(lambda: blocking.workers()[0].requests > before.requests, 30, "the worker free of its client")
            assert find_socket_owners(offload.port, held.getsockname()[1], offload.front.pids())


def test_a_steady_client_that_is_too_slow_gets_a_broken_file_from_a_worker():
    """socket-timeout asks for room in the send buffer, and the kernel reports room only when much of it is empty."""
    with Stage(STEP, "file_wrapper", options=["--socket-timeout", "1"]) as stage:
        with SlowReader(stage.port, "/file", rate_mib_s=0.1) as reader:
            wait_for(lambda: reader.received, 30, "the first bytes")
            wait_for(lambda: not stage.workers()[0].busy, 30, "the worker free of its client")
            reader.hurry()
            assert reader.done.wait(30)
    assert reader.received < 64 * 2**20


LIMITED = """
    import os, uwsgi
    with socket.socket(fileno=os.dup(uwsgi.connection_fd())) as client:
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, 1000)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="TCP_USER_TIMEOUT, tcp(7), is Linux's")
def test_the_kernel_drops_a_stalled_offloaded_client_if_the_app_asks(tmp_path):
    step = manifest.find(STEP)
    app = (step.folder / "file_wrapper.py").read_text()
    returns = '    return environ["wsgi.file_wrapper"]'
    assert returns in app
    (tmp_path / "file_wrapper.py").write_text("import socket\n" + app.replace(returns, LIMITED + returns))
    ini = (step.folder / "offload.ini").read_text().replace("%d../..", str(step.folder.parents[1]))
    (tmp_path / "offload.ini").write_text(ini)
    with Stage(replace(step, folder=tmp_path), "offload") as stage, take_nothing(stage) as client:
        port = client.getsockname()[1]
        wait_for(lambda: stage.workers()[0].offloaded == 1, 10, "the offload")
        wait_for(
            lambda: not find_socket_owners(stage.port, port, stage.front.pids()), 30, "the offload thread letting go"
        )
