"""The sentences of explain for given facts, and what it reads of command lines and of the kernel."""

import dataclasses
import shutil
import subprocess
import sys
import time

import pytest

from offload_lab.errors import LabError
from offload_lab.inspect import describe, find_run
from offload_lab.inspect.configuration import from_command_line
from offload_lab.inspect.kernel_sockets import address
from offload_lab.inspect.runs import named_in
from offload_lab.inspect.snapshot import Connection, Request, Server, Snapshot, Wait, Worker
from offload_lab.inspect.threads import blocked_threads
from offload_lab.paths import ROOT
from offload_lab.stages import manifest
from offload_lab.stages.stage import Stage
from offload_lab.uwsgi.config.servers import offload_threads

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
