"""What the linter's rules say of start and reload, seen to happen with the real uWSGI; with the cure it does not."""

import os
import re
import resource
import signal
import socket
import subprocess
import sys
from contextlib import contextmanager

import pytest

from offload_lab.process.deadlines import Deadline
from offload_lab.process.polling import wait_for
from offload_lab.process.server_process import free_port
from offload_lab.timeouts import scaled
from offload_lab.uwsgi import binary
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
