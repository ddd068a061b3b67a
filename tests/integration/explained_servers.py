"""Two servers that are none of the repository's, and clients of theirs, for the tests of explain."""

import os
import signal
import socket
import subprocess
import threading
from contextlib import ExitStack, contextmanager
from types import SimpleNamespace

from offload_lab.process.polling import wait_for
from offload_lab.process.server_process import free_port
from offload_lab.timeouts import scaled
from offload_lab.uwsgi import binary
from offload_lab.uwsgi.stats import StatsError, read_stats

WORKERS, STREAMS = 4, 3
FRONT = """
[uwsgi]
http-socket = 127.0.0.1:{port}
socket = {folder}/front.sock
processes = 4
master = true
offload-threads = {threads}
# the client of /send reads slowly, and on a busy machine at times not at all
socket-timeout = 3600
stats = {folder}/front-stats.sock
static-map = /files={folder}/files
route = ^/stream uwsgi:{folder}/backend.sock,0,0
wsgi-file = {folder}/front.py
lazy-apps = true
enable-threads = true
die-on-term = true
"""
BACKEND = """
[uwsgi]
socket = {folder}/backend.sock
gevent = 50
processes = 1
master = true
stats = 127.0.0.1:{stats_port}
stats-http = true
wsgi-file = {folder}/backend.py
die-on-term = true
"""
# a thread of the app's own, started before the offload threads; /wait blocks in the app, /send in the worker's writes
FRONT_APP = """
import os, threading
threading.Thread(target=threading.Event().wait, daemon=True).start()

def application(environ, start_response):
    start_response("200 OK", [("X-Worker", str(os.getpid()))])
    if environ["PATH_INFO"] == "/wait":
        with open({fifo!r}) as fifo:
            return [fifo.read().encode()]
    return (bytes(65536) for _ in range(10_000)) if environ["PATH_INFO"] == "/send" else [b"pong"]
"""
BACKEND_APP = """
import gevent

def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/event-stream")])
    yield b"data: first\\n\\n"
    while True:
        gevent.sleep(60)
        yield b":\\n\\n"
"""


@contextmanager
def uwsgi(ini, log):
    """Started as anybody would, by the program and an INI."""
    env = {name: value for name, value in os.environ.items() if not name.startswith("UWSGI_")}
    with log.open("wb") as output:
        process = subprocess.Popen(
            [binary.wheel(), "--ini", ini], stdout=output, stderr=subprocess.STDOUT, env=env, start_new_session=True
        )
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(scaled(10))
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


@contextmanager
def two_servers(folder, threads="2"):
    (folder / "files").mkdir()
    (folder / "files/large.bin").write_bytes(bytes(32 * 2**20))
    fifo = folder / "go"
    os.mkfifo(fifo)
    names = {"folder": folder, "port": free_port(), "stats_port": free_port(), "threads": threads}
    (folder / "front.ini").write_text(FRONT.format(**names))
    (folder / "backend.ini").write_text(BACKEND.format(**names))
    (folder / "front.py").write_text(FRONT_APP.format(fifo=str(fifo)))
    (folder / "backend.py").write_text(BACKEND_APP)
    stats = (str(folder / "front-stats.sock"), f"http://127.0.0.1:{names['stats_port']}")
    with ExitStack() as exits:
        masters = [
            exits.enter_context(uwsgi(folder / f"{name}.ini", folder / f"{name}.log")) for name in ("backend", "front")
        ]
        wait_for(lambda: all(ready(path) for path in stats), 30, "both stats servers")
        yield SimpleNamespace(
            folder=folder, port=names["port"], front=stats[0], backend=stats[1], fifo=fifo, master=masters[1]
        )


def ready(address):
    try:
        rows = read_stats(address)["workers"]
    except StatsError:
        return False
    return all(row["pid"] and row["accepting"] for row in rows)


@contextmanager
def client(port, path):
    """Who asked, and has the beginning of the response where one comes: the address, and a function that reads on."""
    with socket.create_connection(("127.0.0.1", port), timeout=scaled(30)) as connection:
        connection.sendall(f"GET {path} HTTP/1.0\r\n\r\n".encode())
        yield "{}:{}".format(*connection.getsockname()), connection


# --- what may not be read


@contextmanager
def answering(path, text):
    """A server at the UNIX socket `path` that says `text` to everybody."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()

        def serve():
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                with connection:
                    connection.sendall(text)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        try:
            yield str(path)
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()
