"""Sentences from hand-made facts, then whole stages looked at from outside while a client holds something."""

import dataclasses
import os
import re
import shutil
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest

from offload_lab.clients import SlowReader
from offload_lab.clients.session import Session
from offload_lab.clients.sse import SseClient
from offload_lab.errors import LabError
from offload_lab.inspect import describe, find_run
from offload_lab.inspect.configuration import from_command_line
from offload_lab.inspect.kernel_sockets import address
from offload_lab.inspect.observe import take_snapshot
from offload_lab.inspect.runs import Run, named_in, only_run, runs
from offload_lab.inspect.snapshot import Connection, Request, Server, Snapshot, Wait, Worker
from offload_lab.inspect.threads import blocked_threads
from offload_lab.paths import ROOT
from offload_lab.process.polling import wait_for
from offload_lab.stages import manifest
from offload_lab.stages.manifest import Variant
from offload_lab.stages.stage import Stage
from offload_lab.system import is_linux
from offload_lab.timeouts import scaled
from offload_lab.uwsgi.config.servers import offload_threads

linux = pytest.mark.skipif(not is_linux(), reason="only Linux tells what a thread waits for: proc(5)")
DOWNLOAD = Request("GET", "/file", 12)
SUBSCRIBED = Request("GET", "/subscribe", 12)


def facts(worker, *connections, backend=None, **front):
    server = Server("header", "http://127.0.0.1:9090", (worker,), queue_room=100, **front)
    behind = (Server("sse", "/run/hall/sse.sock", (backend,), in_greenlets=True),) if backend else ()
    return Snapshot("03_sse_offload", "header", (*behind, server), connections)


def message(*given, **more):
    return "\n".join(describe(facts(*given, **more)))


def test_an_idle_front():
    assert describe(facts(Worker(4711, busy=False))) == [
        "03_sse_offload header: the front header listens on http://127.0.0.1:9090.",
        "worker 4711 is idle: the next request is answered at once.",
        "no client is connected.",
    ]


def test_a_worker_reads_the_backend_itself_without_an_offload_thread():
    worker = Worker(4711, busy=True, requests=(SUBSCRIBED,), wait=Wait("read", "backend"))
    assert describe(facts(worker, Connection("127.0.0.1:5001", 4711), routes_offload=True))[1:] == [
        "worker 4711 has been reading from the backend for 12 s (GET /subscribe, client 127.0.0.1:5001)"
        " because no offload thread exists.",
        "client 127.0.0.1:5001: held by worker 4711 itself, which serves nothing else meanwhile.",
    ]


def test_a_worker_that_sends_a_file_itself():
    worker = Worker(4711, busy=True, requests=(DOWNLOAD,), wait=Wait("write", "client"))
    assert (
        "worker 4711 has been sending to the client for 12 s (GET /file) because no offload thread exists."
        in message(worker)
    )


def test_offload_threads_that_nothing_is_handed_to():
    worker = Worker(4711, busy=True, requests=(SUBSCRIBED,), offload_tids=(4712, 4713))
    assert "has been running the app's own code for 12 s (GET /subscribe) because no route offloads" in message(worker)


def test_offload_threads_that_refused():
    worker = Worker(4711, busy=True, requests=(SUBSCRIBED,), offload_tids=(4712,), wait=Wait("read", "backend"))
    assert "because its offload threads refused: their queue was full" in message(worker, routes_offload=True)


def test_an_app_that_has_not_answered_yet_is_not_blamed():
    worker = Worker(4711, busy=True, requests=(SUBSCRIBED,), offload_tids=(4712,))
    assert "own code for 12 s (GET /subscribe); only its response can offload the connection." in message(
        worker, routes_offload=True
    )


def test_offloaded_clients_and_those_that_wait():
    worker = Worker(4711, busy=False, offload_tids=(4712, 4713))
    text = message(
        worker,
        Connection("10.0.0.1:5001", 4711, 4713),
        Connection("10.0.0.2:5002", 4711, None),
        Connection("10.0.0.3:5003"),
        backend=Worker(4800, busy=True, cores=100, requests=(SUBSCRIBED, Request("GET", "/subscribe", 3))),
    )
    for line in (
        "client 10.0.0.1:5001: held by offload thread 2 of worker 4711; the worker is idle.",
        "client 10.0.0.2:5002: held by an offload thread of worker 4711; the worker is idle.",
        "client 10.0.0.3:5003: waiting in the listen queue (room for 100), for a worker to accept it.",
        "the backend sse (worker 4800) serves 2 requests of at most 100, the longest GET /subscribe for 12 s.",
    ):
        assert line in text.splitlines()


def test_a_crowd_is_counted_and_three_of_it_named():
    worker = Worker(4711, busy=True)
    crowd = [Connection(f"10.0.0.1:{port}") for port in range(5001, 5041)]
    assert (
        "40 clients (10.0.0.1:5001, 10.0.0.1:5002, 10.0.0.1:5003 and 37 more):"
        " waiting in the listen queue (room for 100), since worker 4711 is busy." in message(worker, *crowd)
    )


@pytest.mark.parametrize(
    ("busy", "says"),
    [
        ((True, False), "for a worker to accept it."),
        ((True, True), "since all workers are busy."),
    ],
)
def test_workers_are_said_to_be_busy_only_if_all_are(busy, says):
    workers = tuple(Worker(4711 + number, busy=is_busy) for number, is_busy in enumerate(busy))
    server = Server("front", "http://127.0.0.1:9090", workers)
    text = describe(Snapshot("", "", (server,), (Connection("127.0.0.1:5001"),)))
    assert text[-1] == f"client 127.0.0.1:5001: waiting in the listen queue, {says}"


@pytest.mark.parametrize(
    ("left", "says"),
    [
        ((True,), "it has closed, and the server has not noticed"),
        ((True, False), "one of them has closed"),
        ((True, True), "2 of them have closed"),
    ],
)
def test_who_has_left_unnoticed(left, says):
    worker = Worker(4711, busy=False, offload_tids=(4712,))
    gone = [
        Connection(f"10.0.0.1:500{number}", 4711, 4712, client_closed=client_closed)
        for number, client_closed in enumerate(left)
    ]
    assert says in message(worker, *gone)


def test_threads_of_which_nothing_is_known_are_not_called_offload_threads():
    worker = Worker(4711, busy=False, threads_unknown=True)
    text = message(worker, Connection("10.0.0.1:5001", 4711, 4713), Connection("10.0.0.2:5002", 4711, None))
    unknown = "perhaps an offload thread; which of its threads are offload threads is not known."
    assert f"client 10.0.0.1:5001: held by thread 4713 of worker 4711: {unknown}" in text.splitlines()
    assert f"client 10.0.0.2:5002: held by a thread that is not known of worker 4711: {unknown}" in text.splitlines()
    assert "worker is idle" not in text.partition("client 10.0.0.1")[2]


def test_unknown_threads_are_not_reported_as_no_offload_threads():
    worker = Worker(4711, busy=True, requests=(SUBSCRIBED,), wait=Wait("read", "backend"), threads_unknown=True)
    text = message(worker, Connection("10.0.0.1:5001", 4711, 4711), Connection("10.0.0.2:5002", 4711, 4713))
    assert "; which of its threads are offload threads is not known." in text
    assert "no offload thread exists" not in text
    assert "client 10.0.0.1:5001: held by worker 4711 itself, which serves nothing else meanwhile." in text.splitlines()


@pytest.mark.parametrize(
    ("command", "line", "number"),
    [
        ("uwsgi --ini front.ini", "3", 3),
        ("uwsgi front.ini", "3", 3),
        ("uwsgi --ini=front.ini", "3", 3),
        ("uwsgi --ini front.ini", "%k", None),
        ("uwsgi --ini front.ini", "", 0),
        ("uwsgi --set-placeholder n=2 --ini front.ini", "%(n)", 2),
        ("uwsgi --http-socket :0 --offload-threads 2", "3", 2),
        ("uwsgi --offload-threads=%k --http-socket :0", "3", None),
    ],
)
def test_the_number_of_offload_threads_is_read_or_unknown(tmp_path, command, line, number):
    option = f"offload-threads = {line}" if line else "master = true"
    (tmp_path / "front.ini").write_text(f"[uwsgi]\n{option}\n")
    config = from_command_line(command.split(), str(tmp_path), {}, spawned=time.time())
    assert offload_threads(config) == number


@pytest.mark.parametrize("command", ["", "uWSGI master", "uwsgi --ini gone.ini", "uwsgi --ini-paste x -x front.xml"])
def test_a_configuration_that_no_command_line_tells_is_unknown(tmp_path, command):
    assert from_command_line(command.split(), str(tmp_path), {}, spawned=time.time()) is None


def test_a_configuration_that_was_changed_since_the_start_is_unknown(tmp_path):
    (tmp_path / "front.ini").write_text("[uwsgi]\noffload-threads = 3\n")
    changed = (tmp_path / "front.ini").stat().st_mtime
    arguments = ["uwsgi", "--ini", "front.ini"]
    assert from_command_line(arguments, str(tmp_path), {}, spawned=changed)
    assert from_command_line(arguments, str(tmp_path), {}, spawned=changed - 60) is None


def test_a_running_worker_with_a_number_that_only_uwsgi_knows(tmp_path):
    """As many offload threads as there are processors: uWSGI expands %k itself."""
    shutil.copytree(ROOT / "steps/01_file_wrapper", tmp_path / "01_file_wrapper")
    ini = tmp_path / "01_file_wrapper/offload.ini"
    text = re.sub(r"(?m)^offload-threads *=.*$", "offload-threads = %k", ini.read_text())
    ini.write_text(text.replace("%d../..", str(ROOT)))
    with Stage(str(tmp_path / "01_file_wrapper"), "offload", placeholders={"mib": "64"}) as stage:
        with SlowReader(stage.port, "/file", rate_mib_s=0.5):
            text = "\n".join(describe(take_snapshot(stage.step, stage.variant, stage.run)))
    assert "which of its threads are offload threads is not known" in text
    assert "held by offload thread" not in text


def test_a_front_in_greenlets():
    worker = Worker(4711, busy=True, cores=100, requests=(SUBSCRIBED, DOWNLOAD), wait=Wait("read", "client"))
    text = message(worker, Connection("10.0.0.1:5001", 4711), in_greenlets=True)
    assert "worker 4711 has 2 requests under way in one thread, the longest GET /subscribe for 12 s." in text
    assert "client 10.0.0.1:5001: held by a greenlet of worker 4711." in text


def test_a_run_folder_is_read_from_a_command_line(tmp_path):
    arguments = ["uwsgi", "--set-placeholder", "port=1", "--set-placeholder", "run=here", "--ini", "naive.ini"]
    assert list(named_in(arguments, tmp_path)) == [(tmp_path / "naive.ini", tmp_path / "here")]
    assert list(named_in(["uwsgi", "naive.ini"], tmp_path)) == [(tmp_path / "naive.ini", tmp_path / ".run")]
    assert list(named_in(["sleep", "10"], tmp_path)) == []


# --- stages


@contextmanager
def asking(port, path, cookie=""):
    """Somebody who asked and would wait for the answer: their address."""
    with socket.create_connection(("127.0.0.1", port), timeout=scaled(30)) as connection:
        connection.sendall(f"GET {path} HTTP/1.0\r\nHost: 127.0.0.1\r\nCookie: {cookie}\r\n\r\n".encode())
        yield "{}:{}".format(*connection.getsockname())


def bystander(port):
    return asking(port, "/ping")


@contextmanager
def subscriber(stage):
    """ada, whose first event has come."""
    ada = Session(stage.port)
    ada.log_in()
    with SseClient(stage.port, cookie=ada.cookie) as client:
        client.next()
        yield "{}:{}".format(*client.address)


def seen(stage, *patterns):
    """What is said of the stage, once each of the patterns is in it; a look from outside catches moments."""
    texts = [""]

    def all_are_there():
        texts.append("\n".join(describe(take_snapshot(stage.step, stage.variant, stage.run))))
        return all(re.search(pattern, texts[-1]) for pattern in patterns)

    try:
        wait_for(all_are_there, 20, "the sentences")
    except TimeoutError:
        pytest.fail(f"{patterns} not said of it:\n{texts[-1]}")
    return texts[-1]


def without_offload_threads(step, variant, folder):
    """The same step with a front that has no offload threads."""
    front = step.variant(variant).inis[-1]
    text = (step.folder / front).read_text().replace("%d", f"{step.folder}/")
    (folder / front).write_text(re.sub(r"^offload-threads.*\n", "", text, flags=re.MULTILINE))
    inis = (*(str(step.folder / ini) for ini in step.variant(variant).inis[:-1]), str(folder / front))
    return dataclasses.replace(step, variants=(Variant("without", inis, "for a test"),))


@pytest.fixture(scope="module")
def stages(tmp_path_factory):
    """All at once: one after the other would take half a minute."""
    without = without_offload_threads(manifest.find("03"), "header", tmp_path_factory.mktemp("without"))
    wanted = {
        "naive": Stage("01", "naive"),
        "offload": Stage("01", "offload"),
        "header": Stage("03", "header"),
        "blocking": Stage("03", "blocking"),
        "without": Stage(without, "without"),
    }
    with ThreadPoolExecutor(len(wanted)) as pool:
        try:
            list(pool.map(lambda stage: stage.__enter__(), wanted.values()))
            yield wanted
        finally:
            list(pool.map(lambda stage: stage.__exit__(None, None, None), wanted.values()))


@linux
def test_a_download_that_the_worker_carries(stages):
    stage = stages["naive"]
    [worker] = stage.workers()
    with SlowReader(stage.port, "/file", rate_mib_s=0.5) as reader, bystander(stage.port) as other:
        seen(
            stage,
            rf"worker {worker.pid} has been sending to the client for \d+ s"
            rf" \(GET /file, client 127.0.0.1:{reader.port}\) because no offload thread exists",
            f"client 127.0.0.1:{reader.port}: held by worker {worker.pid} itself",
            rf"client {other}: waiting in the listen queue \(room for 100\), since worker {worker.pid} is busy",
        )


@linux
def test_a_client_that_left_is_still_held(stages):
    stage = stages["naive"]
    with SlowReader(stage.port, "/file", rate_mib_s=0.5):
        with bystander(stage.port) as other:
            seen(stage, f"client {other}: waiting in the listen queue")
        seen(stage, f"client {other}: waiting in the listen queue.*\n  it has closed, and the server has not noticed")


@linux
def test_a_download_that_an_offload_thread_carries(stages):
    stage = stages["offload"]
    [worker] = stage.workers()
    with SlowReader(stage.port, "/file", rate_mib_s=0.5) as reader:
        seen(
            stage,
            f"worker {worker.pid} is idle",
            f"client 127.0.0.1:{reader.port}: held by offload thread 1 of worker {worker.pid}",
        )


@linux
def test_a_stream_that_an_offload_thread_carries(stages):
    stage = stages["header"]
    [worker] = stage.workers()
    [behind] = stage.processes[0].workers()
    with subscriber(stage) as ada:
        seen(
            stage,
            f"worker {worker.pid} is idle",
            rf"client {ada}: held by offload thread [12] of worker {worker.pid}",
            rf"the backend sse \(worker {behind.pid}\) serves 1 request of at most 2500, the longest GET /subscribe",
        )


@linux
def test_a_stream_that_django_sends_itself(stages):
    stage = stages["blocking"]
    [worker] = stage.workers()
    with subscriber(stage) as ada, bystander(stage.port) as other:
        seen(
            stage,
            rf"worker {worker.pid} has been running the app's own code for \d+ s \(GET /subscribe, client {ada}\)"
            " because no route offloads",
            rf"client {other}: waiting in the listen queue",
        )


@linux
def test_a_stream_that_the_worker_proxies_because_no_offload_thread_exists(stages):
    """After disableheaders: it reads from the backend and sends nothing to the client, which does not wait."""
    stage = stages["without"]
    [worker] = stage.workers()
    ada = Session(stage.port)
    ada.log_in()
    with asking(stage.port, "/subscribe", ada.cookie) as client:
        seen(
            stage,
            rf"worker {worker.pid} has been reading from the backend for \d+ s \(GET /subscribe, client {client}\)"
            " because no offload thread exists",
        )


def copy_of(step, folder):
    """The same step in another folder, so that nobody else runs it."""
    folder = folder / step.name
    folder.mkdir()
    for name in ("offload.ini", "file_wrapper.py"):
        shutil.copy(step.folder / name, folder)
    text = (folder / "offload.ini").read_text()
    (folder / "offload.ini").write_text(text.replace("%d../..", str(ROOT)))
    return dataclasses.replace(step, folder=folder)


def test_running_stages_are_found_and_told_apart_by_command_line(tmp_path):
    step = copy_of(manifest.find("01"), tmp_path)
    with pytest.raises(LabError, match=r"not running; start it in another terminal: \./lab run 01 offload"):
        find_run(step, step.variant("offload"))
    with Stage(step, "offload") as running:
        assert find_run(step, step.variant("offload")) == running.run
        assert only_run(runs([step])).folder == running.run
        with Stage(step, "offload") as other:
            with pytest.raises(LabError, match="runs 2 times") as caught:
                find_run(step, step.variant("offload"))
            assert f"./lab explain 01 offload --run {running.run}" in str(caught.value)
            assert f"--run {other.run}" in str(caught.value)


def test_a_front_that_does_not_answer_is_not_said_to_be_down(tmp_path):
    step = copy_of(manifest.find("01"), tmp_path)
    with Stage(step, "offload") as stage:
        stage.front.stats_socket.rename(stage.run / "moved.sock")
        with pytest.raises(LabError) as caught:
            find_run(step, step.variant("offload"))
    message = str(caught.value)
    assert re.search(
        r"process \d+ is the front of 01_file_wrapper offload, but its stats socket does not answer", message
    )
    assert f"{stage.front.stats_socket}: no such socket" in message


def test_of_a_front_that_ended_its_backend_is_named(tmp_path):
    step = manifest.find("03")
    folder = shutil.copytree(step.folder, tmp_path / step.name)
    for ini in folder.glob("*.ini"):
        ini.write_text(ini.read_text().replace("%d../..", str(ROOT)))
    step = dataclasses.replace(step, folder=folder)
    with Stage(step, "header") as stage:
        stage.front.stop()
        with pytest.raises(LabError, match=r"is not running; its backend sse\.ini is, as process \d+; start it"):
            find_run(step, step.variant("header"))


def test_the_command_says_it_and_a_wrong_folder_is_named(tmp_path):
    def explain(*arguments):
        code = "from offload_lab.cli.explain import explain; explain()"
        return subprocess.run(
            [sys.executable, "-c", code, *map(str, arguments)],
            cwd=ROOT, env={**os.environ, "COLUMNS": "80"}, capture_output=True, text=True, timeout=scaled(60),
        )  # fmt: skip

    with Stage("01", "offload") as stage:
        answer = explain("01", "offload", "--run", stage.run)
        assert answer.returncode == 0, answer.stderr
        assert f"listens on\n  {stage.url}." in answer.stdout or f"listens on {stage.url}." in answer.stdout
        clients = "no client is connected." if is_linux() else "which clients are connected is not known"
        assert clients in " ".join(answer.stdout.split())
        assert max(map(len, answer.stdout.splitlines())) <= 80
    assert (
        "offload.ini of 01_file_wrapper offload does not answer in"
        in explain("01", "offload", "--run", tmp_path).stderr
    )


def test_a_process_that_is_gone_has_no_threads():
    ended = subprocess.Popen(["true"])
    ended.wait()
    assert blocked_threads(ended.pid) == {}


@pytest.mark.parametrize(
    ("kernels", "ours"),
    [
        ("0100007F:4AA0", "127.0.0.1:19104"),
        ("00000000000000000000000001000000:0050", "[::1]:80"),
        ("0000000000000000FFFF00000100007F:0050", "127.0.0.1:80"),
    ],
)
def test_an_address_of_the_kernels_list_is_read(kernels, ours):
    if sys.byteorder == "big":
        pytest.skip("the kernel prints words in the machine's byte order; these are a little-endian one's")
    assert address(kernels) == ours


def test_without_a_step_the_one_that_runs_is_meant_and_several_are_named(tmp_path):
    step = manifest.find("01")
    run = Run(step, step.variant("offload"), tmp_path)
    assert only_run([run]) == run
    with pytest.raises(LabError, match=r"2 variants run; choose one:\n +\./lab explain 01 offload --run .*\n +\./lab"):
        only_run([run, run._replace(variant=step.variant("naive"))])
    with pytest.raises(LabError, match=r"\./lab run 03 header; or name any uWSGI: \./lab explain --stats"):
        only_run([])
