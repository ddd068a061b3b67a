"""What the linter's rules say of gevent, offloading and sockets, seen to happen with the real uWSGI."""

import http.client
import os
import select
import socket
import struct
import tempfile
from pathlib import Path

import psutil
import pytest

from offload_lab.lint import lint_sides
from offload_lab.lint.targets import read
from offload_lab.process.polling import wait_for
from offload_lab.process.server_process import free_port
from offload_lab.testing import idle_workers, require_linux
from offload_lab.uwsgi.config.reader import parse

from .test_lint_seen import APP, FRONT, STARTED_S, open_stream, raw, read_to_the_end, running

pytestmark = pytest.mark.full  # each starts a uWSGI or two


BACKEND = """[uwsgi]
stats = %(run)/backend-stats.sock
master = true
processes = 1
need-app = true
die-on-term = true
wsgi-file = %dbackend.py
"""


def get(port, path, headers=None):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=STARTED_S)
    connection.request("GET", path, headers=headers or {})
    return connection.getresponse().read()


@pytest.fixture
def folder(tmp_path):
    for name in ("front", "backend"):
        (tmp_path / f"{name}.py").write_text(APP.replace("__name__", repr(name)))
    return tmp_path


# --- gevent


def test_harakiri_under_gevent_ends_all_streams(folder):
    port = free_port()
    with running(folder, "front", FRONT + "gevent = 10\nharakiri = 5\n", port) as server:
        [before] = server.workers()
        with open_stream(port) as first, open_stream(port) as second:
            read_to_the_end(first)
            read_to_the_end(second)
        wait_for(lambda: [worker.pid for worker in server.workers()] != [before.pid], STARTED_S, "a new worker")
        assert "HARAKIRI" in server.log.read_text()


def test_recycling_under_gevent_waits_for_the_last_stream(folder):
    port = free_port()
    text = FRONT + "gevent = 10\nmax-requests = 3\nmin-worker-lifetime = 0\n"
    with running(folder, "front", text, port) as server:
        [before] = server.workers()
        with open_stream(port):
            waiting = next(request for request in requests(port, server) if not is_answered(request))
            assert [worker.pid for worker in server.workers()] == [before.pid]
        with waiting:
            assert waiting.recv(4096).startswith(b"HTTP/1")
        assert [worker.pid for worker in server.workers()] != [before.pid]


def requests(port, server):
    """Connections, each with a request that is answered, or waits in the listen queue."""
    for _ in range(20):
        connection = socket.create_connection(("127.0.0.1", port), timeout=STARTED_S)
        connection.sendall(b"GET / HTTP/1.0\r\n\r\n")
        wait_for(lambda: is_answered(connection) or is_queued(server), STARTED_S, "an answer or a place in the queue")  # noqa: B023
        yield connection
        connection.close()


def is_answered(connection):
    return bool(select.select([connection], [], [], 0)[0])


def is_queued(server):
    return server.stats()["sockets"][0]["queue"] > 0


# --- offload threads


def offloading(folder, more="", to="uwsgi:%(run)/backend.sock,0,0"):
    return FRONT + (
        f"offload-threads = 1\npull-header = X-Offload X_OFFLOAD\n{more}"
        "response-route-if-not = empty:${X_OFFLOAD} disableheaders:\n"
        f"response-route-if-not = empty:${{X_OFFLOAD}} {to}\n"
    )


@pytest.fixture
def backend(folder):
    with running(folder, "backend", BACKEND + "socket = %(run)/backend.sock\ngevent = 10\n") as server:
        yield server


def test_harakiri_in_a_front_ends_what_it_offloads(folder, backend):
    port = free_port()
    with running(folder, "front", offloading(folder, "harakiri = 1\n"), port):
        with open_stream(port, "/authorised") as stream:
            with socket.create_connection(("127.0.0.1", port)) as stuck:
                stuck.sendall(b"GET /stuck HTTP/1.0\r\n\r\n")
                read_to_the_end(stream)


def test_a_header_that_is_collected_under_another_name_decides_nothing(folder, backend):
    port = free_port()
    with running(folder, "front", offloading(folder).replace("X-Offload X_OFFLOAD", "X-Offload X_OFLOAD"), port):
        assert get(port, "/authorised").startswith(b"front")
    with running(folder, "front", offloading(folder), port), open_stream(port, "/authorised") as stream:
        assert b"tickbackend" in stream.recv(4096) + stream.recv(4096)


def test_a_variable_without_braces_is_text(folder, backend):
    port = free_port()
    text = offloading(folder).replace("empty:${X_OFFLOAD} uwsgi", "empty:$X_OFFLOAD uwsgi")
    text += "route = ^/ping break:200 OK\n"  # else the harness's own ping were handed over too
    with running(folder, "front", text, port):
        assert b"backend" in raw(port, "/other")


def test_a_host_name_as_a_target_is_never_reached(folder):
    port, behind = free_port(), free_port()
    with running(folder, "backend", BACKEND + f"socket = 127.0.0.1:{behind}\n"):
        text = FRONT + f"offload-threads = 1\nroute = ^/x uwsgi:{{}}:{behind},0,0\n"
        with running(folder, "front", text.format("localhost"), port):
            assert raw(port, "/x") == b""
        with running(folder, "front", text.format("127.0.0.1"), port):
            assert raw(port, "/x").endswith(b"backend ")


def test_http_spoken_to_a_uwsgi_socket_gets_no_answer(folder, backend):
    port = free_port()
    with running(folder, "front", offloading(folder, to="http:%(run)/backend.sock"), port):
        assert b"tick" not in raw(port, "/authorised")


def test_the_http_router_drops_frames_without_http_websockets(folder):
    output = {}
    for option in ("", "http-websockets = true\n"):
        port = free_port()
        text = FRONT.replace("http-socket", "http") + option
        with running(folder, "front", text, port):
            output[option] = talk(port)
    assert list(output.values()) == [b"nothing", b"frame"]


def talk(port):
    """What the app says of a frame that is sent after its 101."""
    with socket.create_connection(("127.0.0.1", port), timeout=STARTED_S) as connection:
        upgrade = "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
        connection.sendall(f"GET /ws HTTP/1.1\r\nHost: x\r\n{upgrade}\r\n".encode())
        seen = b""
        while b"open" not in seen:
            seen += connection.recv(4096)
        connection.sendall(b"\x81\x80abcd")
        while not seen.endswith((b"frame", b"nothing")):
            seen += (more := connection.recv(4096))
            assert more, seen
    return seen.rpartition(b"open")[2]


def let_threads_go_first(pid):
    """Put all threads of the worker on one CPU, where its main thread gives way as soon as another one can run: which
    of the two is first to write to a client is no accident then."""
    require_linux("which thread of a process goes first")
    cpu = min(os.sched_getaffinity(0))
    for thread in psutil.Process(pid).threads():
        os.sched_setaffinity(thread.id, {cpu})
    os.sched_setscheduler(pid, os.SCHED_IDLE, os.sched_param(0))


@pytest.mark.parametrize(("more", "lost"), [("", True), (",no_offload=true", False)])
def test_cached_answers_lose_their_headers_on_an_offload_thread(folder, more, lost):
    port = free_port()
    text = FRONT + "offload-threads = 1\ncache2 = name=c,items=10\nprocesses = 1\n"
    text += f"route = ^/ping break:200 OK\nroute = ^/c cache:key=c,name=c{more}\nroute = ^/c cachestore:key=c,name=c\n"
    with running(folder, "front", text, port) as server:
        get(port, "/c")
        let_threads_go_first(idle_workers(server)[0].pid)
        answers = [raw(port, "/c") for _ in range(20)]
    assert any(not answer.startswith(b"HTTP/1") for answer in answers) == lost


def test_a_range_is_sent_to_the_files_end_by_an_offload_thread(folder):
    (folder / "large").write_bytes(b"x" * 100_000)
    sent = {}
    for option in ("", "offload-threads = 1\n"):
        port = free_port()
        with running(folder, "front", FRONT + f"static-map = /s={folder}\nhonour-range = true\n{option}", port):
            sent[option] = len(raw(port, "/s/large", "Range: bytes=0-9\r\n").partition(b"\r\n\r\n")[2])
    assert sent[""] == 10
    assert sent["offload-threads = 1\n"] > 10


def test_without_a_file_wrapper_no_file_is_offloaded(folder):
    counted = []
    for option in ("", "wsgi-disable-file-wrapper = true\n"):
        port = free_port()
        with running(folder, "front", FRONT + f"offload-threads = 1\n{option}", port) as server:
            raw(port, "/file")
            counted.append(sum(worker.offloaded for worker in idle_workers(server)))
    assert counted == [1, 0]


# --- who can connect


def test_a_backend_believes_any_variable(folder, backend):
    variables = {"REQUEST_METHOD": "GET", "PATH_INFO": "/", "REMOTE_USER": "admin", "SERVER_PROTOCOL": "HTTP/1.0"}
    packed = b"".join(struct.pack("<H", len(text)) + text.encode() for pair in variables.items() for text in pair)
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(str(folder / "backend.sock"))
        connection.sendall(struct.pack("<BHB", 0, len(packed), 0) + packed)
        assert b"".join(iter(lambda: connection.recv(4096), b"")).endswith(b"backend admin")


def test_chmod_socket_opens_the_stats_socket_which_shows_cookies(folder):
    port = free_port()
    with running(folder, "front", FRONT + "processes = 2\nchmod-socket = 666\n", port) as server:
        assert server.stats_socket.stat().st_mode & 0o777 == 0o666
        with socket.create_connection(("127.0.0.1", port)) as stuck:
            stuck.sendall(b"GET /stuck HTTP/1.0\r\nCookie: sessionid=secret\r\n\r\n")
            wait_for(lambda: "sessionid=secret" in str(server.stats()), STARTED_S, "the cookie in the stats")


def test_a_socket_in_a_shared_folder_can_be_made_by_another_user(folder):
    """uWSGI asks for no owner: it sends to what listens there."""
    port = free_port()
    with socket.socket(socket.AF_UNIX) as other, running(folder, "front", offloading(folder), port):
        other.bind(str(folder / "backend.sock"))
        other.listen()
        other.settimeout(STARTED_S)
        with socket.create_connection(("127.0.0.1", port)) as client:
            client.sendall(b"GET /authorised HTTP/1.0\r\nCookie: sessionid=secret\r\n\r\n")
            received, _ = other.accept()
            with received:
                assert b"sessionid=secret" in received.recv(65536)


@pytest.fixture
def open_folder():
    """One that another user may enter, and in which it may make its stats socket."""
    with tempfile.TemporaryDirectory(prefix="t-") as path:
        os.chmod(path, 0o777)  # noqa: S103 (the other user is what the test is about)
        Path(path, "backend.py").write_text(APP.replace("__name__", "'backend'"))
        yield Path(path)


OTHER_USER = """[uwsgi]
http-socket = 127.0.0.1:%(port)
stats = %(run)/front-stats.sock
master = true
uid = nobody
gid = nogroup
socket-timeout = 3
route-run = uwsgi:%(run)/backend.sock,0,0
"""


@pytest.mark.parametrize(("mode", "reached"), [("660", False), ("666", True)])
def test_a_socket_of_another_user_cannot_be_reached(mode, reached, open_folder):
    """The backend's socket is root's here, and the front runs as nobody."""
    if os.geteuid() != 0:
        pytest.skip("only root can start a server for another user")
    folder = open_folder
    port = free_port()
    as_root = f"socket = {folder}/backend.sock\nuid = root\ngid = root\nchmod-socket = {mode}\n"
    with (
        running(folder, "backend", BACKEND + as_root),
        running(folder, "front", OTHER_USER.replace("%(port)", str(port)).replace("%(run)", str(folder))) as front,
    ):
        assert {psutil.Process(worker.pid).username() for worker in front.workers()} == {"nobody"}
        assert (b"backend" in raw(port, "/hello")) == reached
    found = lint_sides([parse(str(folder / name), read) for name in ("front.ini", "backend.ini")])
    assert ("permission-mismatch" in {finding.rule.id for finding in found}) == (not reached)
