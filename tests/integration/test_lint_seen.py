"""What the linter's rules say happens, seen to happen with the real uWSGI; with the cure it does not."""

import http.client
import os
import re
import resource
import select
import signal
import socket
import struct
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from offload_lab.lint import lint_sides
from offload_lab.lint.targets import read
from offload_lab.process.deadlines import Deadline
from offload_lab.process.polling import wait_for
from offload_lab.process.server_process import free_port
from offload_lab.testing import idle_workers
from offload_lab.timeouts import scaled
from offload_lab.uwsgi import binary
from offload_lab.uwsgi.config.reader import parse
from offload_lab.uwsgi.server import Uwsgi

pytestmark = pytest.mark.full  # each starts a uWSGI or two

STARTED_S = scaled(30)
APP = """
import select
import time

try:
    import uwsgi
except ImportError:
    uwsgi = None

NAME = __name__


def application(environ, start_response):
    path = environ["PATH_INFO"]
    headers = [("Content-Type", "text/plain")]
    if path == "/authorised":
        headers.append(("X-Offload", "y"))
    if path == "/ws":
        start_response("101 Switching Protocols", [("Upgrade", "websocket"), ("Connection", "Upgrade")])
        return frames()
    start_response("200 OK", headers)
    if path == "/stream" or (NAME == "backend" and path == "/authorised"):
        return stream()
    if path == "/stuck":
        time.sleep(60)
    if path == "/file":
        wrapper = environ.get("wsgi.file_wrapper", lambda file, size: iter(lambda: file.read(size), b""))
        return wrapper(open(__file__, "rb"), 4096)
    return [f"{NAME} {environ.get('REMOTE_USER', '')}".encode()]


def stream():
    try:
        from gevent import sleep
    except ImportError:
        sleep = time.sleep
    while True:
        yield b"tick" + NAME.encode()
        sleep(0.05)


def frames():
    yield b"open"
    ready, _, _ = select.select([uwsgi.connection_fd()], [], [], 2)
    yield b"frame" if ready else b"nothing"
"""
FRONT = """[uwsgi]
http-socket = 127.0.0.1:%(port)
stats = %(run)/front-stats.sock
master = true
processes = 1
need-app = true
die-on-term = true
wsgi-file = %dfront.py
"""
BACKEND = """[uwsgi]
stats = %(run)/backend-stats.sock
master = true
processes = 1
need-app = true
die-on-term = true
wsgi-file = %dbackend.py
"""


@pytest.fixture
def folder(tmp_path):
    for name in ("front", "backend"):
        (tmp_path / f"{name}.py").write_text(APP.replace("__name__", repr(name)))
    return tmp_path


@contextmanager
def running(folder, name, text, port=None, options=(), which=None):
    """The server that `text` makes, once it answers."""
    ini = folder / f"{name}.ini"
    ini.write_text(text)
    server = Uwsgi(ini, folder, port=port, options=options, engine=binary.find(which))
    with server:
        server.wait_ready(Deadline(STARTED_S))
        yield server


def start(folder, text, **environ):
    """What uWSGI says where it should end by itself: its status and its words."""
    ini = folder / "refused.ini"
    ini.write_text(text)
    answer = subprocess.run(
        [*binary.find().command, "--ini", str(ini)], cwd=folder, env={"PATH": os.environ["PATH"], **environ},
        capture_output=True, text=True, errors="replace", timeout=scaled(60), preexec_fn=limit_memory,
    )  # fmt: skip
    return answer.returncode, answer.stdout + answer.stderr


def limit_memory():
    resource.setrlimit(resource.RLIMIT_AS, (2**31, 2**31))


def get(port, path, headers=None):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=STARTED_S)
    connection.request("GET", path, headers=headers or {})
    return connection.getresponse().read()


def raw(port, path, more=""):
    """The bytes of one whole answer."""
    with socket.create_connection(("127.0.0.1", port), timeout=STARTED_S) as connection:
        connection.sendall(f"GET {path} HTTP/1.0\r\n{more}\r\n".encode())
        return b"".join(iter(lambda: connection.recv(65536), b""))


@contextmanager
def open_stream(port, path="/stream"):
    """A connection that has received its first event."""
    with socket.create_connection(("127.0.0.1", port), timeout=STARTED_S) as connection:
        connection.sendall(f"GET {path} HTTP/1.0\r\n\r\n".encode())
        seen = b""
        while b"tick" not in seen:
            seen += (more := connection.recv(4096))
            assert more, f"ended: {seen!r}"
        yield connection


def read_to_the_end(connection):
    with connection:
        try:
            while connection.recv(65536):
                pass
        except ConnectionResetError:
            pass


# --- uWSGI does not start

REFUSED = {
    "target-syntax": ("route = ^/x uwsgi:/run/x.sock\n", "invalid route syntax"),
    "unknown-action": ("route = ^/x disableheader:\n", "unable to register route"),
    "placeholder-is-option": ("set-ph = processes=2\n", "already available as an option"),
    "invalid-placeholder": ("set-ph = here\n", "invalid placeholder/--set value"),
    "nested-condition": ("if-env = PATH\nif-env = PATH\nvacuum = 1\nendif =\n", "recursive logic in options"),
    "path-too-long": (f"socket = /tmp/{'s' * 98}\n", "invalid socket name"),
    "unread-import": ("ini = nowhere.ini\n", "No such file or directory"),
}


@pytest.mark.parametrize("rule", REFUSED)
def test_uwsgi_refuses_it_at_start(rule, folder):
    lines, message = REFUSED[rule]
    status, output = start(folder, f"[uwsgi]\n{lines}")
    assert status != 0
    assert message in output


def test_an_unknown_option_is_silent_and_strict_refuses_it(folder):
    status, output = start(folder, "[uwsgi]\nno-server = true\nexec-pre = /bin/false\nbase = /srv\n")
    assert "exec-pre" not in output
    assert status == 0
    status, output = start(folder, "[uwsgi]\nno-server = true\nstrict = true\nbase = /srv\n")
    assert (status, "unknown config directive: base" in output) == (1, True)
    assert start(folder, "[uwsgi]\nno-server = true\nstrict = true\nset-placeholder = base=/srv\n")[0] == 0


@pytest.mark.parametrize("text", ["a = x%(a)\n", "ini = refused.ini\n"], ids=["value", "import"])
def test_what_refers_to_itself_never_starts(text, folder):
    status, output = start(folder, f"[uwsgi]\nno-server = true\n{text}")
    assert status != 0
    assert "spawned" not in output


def test_a_comment_behind_a_value_is_part_of_it(folder):
    _, output = start(
        folder, "[uwsgi]\nno-server = true\nshow-config = true\npull-header = X-Offload X_OFFLOAD ; note\n"
    )
    assert "pull-header = X-Offload X_OFFLOAD ; note\n" in output
    text = "[uwsgi]\nhttp-socket = x.sock\nneed-app = {}\nmodule = nowhere\nexit-on-reload = true\n"
    status, output = start(folder, text.format("false ; there may be none"))
    assert (status, "no app loaded. GAME OVER" in output) == (22, True)


@pytest.mark.parametrize(
    ("value", "threads"), [("true", 0), ("", 0), ('"2"', 0), ("0x2", 0), ("2", 2), ("2k", 2), ("2 ; comment", 2)]
)
def test_a_number_is_read_as_far_as_its_digits_go(value, threads, folder):
    with running(folder, "front", f"{FRONT}offload-threads = {value}\n", free_port()) as server:
        assert (f"spawned {threads} offload threads" in server.log.read_text()) == bool(threads)


def test_the_wheel_stops_reading_yaml_at_a_list(folder):
    text = "uwsgi:\n  processes: 2\n  env:\n    - A=1\n  threads: 3\n"
    (folder / "app.yml").write_text(text)
    answer = subprocess.run(
        [*binary.find("wheel").command, "--show-config", "--no-server", "--yaml", "app.yml"],
        cwd=folder, capture_output=True, text=True, timeout=scaled(60),
    )  # fmt: skip
    output = answer.stdout + answer.stderr
    assert "processes = 2\n" in output
    assert "threads" not in output[output.index("processes = 2") : output.index("end of configuration")]


def test_threads_take_the_place_of_gevents_cores(folder):
    _, output = start(folder, "[uwsgi]\nno-server = true\ngevent = 100\nthreads = 2\n")
    assert "async cores set to 100" in output
    assert re.search(r"mapped \d+ bytes \(\d+ KB\) for 2 cores", output)
    _, output = start(folder, "[uwsgi]\nno-server = true\ngevent = 100\n")
    assert re.search(r"mapped \d+ bytes \(\d+ KB\) for 100 cores", output)


# --- gevent


def test_harakiri_under_gevent_ends_all_streams(folder):
    port = free_port()
    with running(folder, "front", FRONT + "gevent = 10\nharakiri = 2\n", port) as server:
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


@pytest.mark.parametrize(("more", "lost"), [("", True), (",no_offload=true", False)])
def test_cached_answers_lose_their_headers_on_an_offload_thread(folder, more, lost):
    port = free_port()
    text = FRONT + "offload-threads = 1\ncache2 = name=c,items=10\nprocesses = 1\n"
    text += f"route = ^/ping break:200 OK\nroute = ^/c cache:key=c,name=c{more}\nroute = ^/c cachestore:key=c,name=c\n"
    with running(folder, "front", text, port):
        get(port, "/c")
        answers = [raw(port, "/c") for _ in range(100)]
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


# --- start and reload


def test_without_need_app_a_broken_app_answers_500(folder):
    port = free_port()
    ini = folder / "front.ini"
    ini.write_text(FRONT.replace("need-app = true\n", "").replace("front.py", "nowhere.py"))
    with Uwsgi(ini, folder, port=port) as server:
        wait_for(lambda: answers(server), STARTED_S, "a worker")
        assert b"Internal Server Error" in raw(port, "/")


def is_new(server, pid):
    try:
        return any(worker["accepting"] and worker["pid"] not in (0, pid) for worker in server.stats()["workers"])
    except OSError:
        return False


def answers(server):
    try:
        return any(worker["accepting"] for worker in server.stats()["workers"])
    except OSError:
        return False


@pytest.mark.parametrize("cured", [False, True])
def test_the_wheel_survives_a_reload_only_with_binary_path(folder, cured):
    if sys.prefix == sys.base_prefix:
        pytest.skip("not in a virtual environment")
    port = free_port()
    text = FRONT + (f"binary-path = {sys.executable}\n" if cured else "")
    with running(folder, "front", text, port, which="wheel") as server:
        [before] = server.workers()
        os.kill(server.pid, signal.SIGHUP)
        if cured:
            wait_for(lambda: is_new(server, before.pid), STARTED_S, "a new worker")
            assert raw(port, "/").endswith(b"front ")
        else:
            wait_for(lambda: "No module named" in server.log.read_text(), STARTED_S, "the end")
            wait_for(lambda: not server.pids(), STARTED_S, "no process")
