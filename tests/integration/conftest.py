"""Fixtures of several modules; then, for the tests of uwsgi_build/patches, a running front whose backend is the test
itself, and its clients."""

import importlib.util
import os
import selectors
import shutil
import socket
import sys
import textwrap
from contextlib import ExitStack, contextmanager

import pytest

from offload_lab.clients import ping
from offload_lab.clients.sse import request_bytes
from offload_lab.clients.websocket import PING, PONG, TEXT, frame
from offload_lab.errors import MissingDependencyError
from offload_lab.paths import ROOT
from offload_lab.process.deadlines import Deadline
from offload_lab.process.process import Process
from offload_lab.process.server_process import free_port
from offload_lab.stages import manifest
from offload_lab.stages.stage import short_private_folder
from offload_lab.testing import require
from offload_lab.timeouts import scaled
from offload_lab.uwsgi import binary
from offload_lab.uwsgi.server import Uwsgi

NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
INSTALL = "./lab test, or: pip install -e '.[notebooks]'"
TIMEOUT_S = 30
HEADERS = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n"
EVENT = b"data: the next one, please\n\n"


@pytest.fixture
def work(tmp_path, monkeypatch):
    """Where learners' folders are made, for one test."""
    monkeypatch.setenv("LAB_WORK", str(tmp_path / "work"))
    return tmp_path / "work"


@pytest.fixture
def step():
    return manifest.find("01")


@pytest.fixture
def python(tmp_path):
    """Make a Process from Python code; whatever the test forgets is stopped after it."""
    made = []

    def make(code, **options):
        process = Process("child", [sys.executable, "-c", textwrap.dedent(code)], tmp_path / "child.log", **options)
        made.append(process)
        return process

    yield make
    for process in made:
        process.stop()


@pytest.fixture(params=NOTEBOOKS, ids=lambda path: path.stem)
def notebook(request):
    return request.param


@pytest.fixture
def jupyter(monkeypatch, tmp_path):
    """Jupyter is there, and what a run writes goes to `tmp_path` instead of the learner's own folders."""
    for module in ("nbclient", "ipykernel"):
        require(importlib.util.find_spec(module) is not None, module, INSTALL)
    monkeypatch.setenv("LAB_RESULTS", str(tmp_path / "results"))
    monkeypatch.setenv("LAB_WORK", str(tmp_path / "work"))
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    monkeypatch.setenv("JUPYTER_RUNTIME_DIR", str(tmp_path / "runtime"))
    return tmp_path


# --- fronts whose backend is the test


def find(name):
    try:
        return binary.find(name)
    except MissingDependencyError as missing:
        require(False, missing.what, missing.install)


class Front:
    """A running front, its clients, and the listening socket on which the test plays the backend."""

    def __init__(self, server, run, listener, exits):
        self.server, self.run, self.listener, self.exits = server, run, listener, exits
        self.pid = server.workers()[0].pid
        self.accepted = []  # all connections to the backend, with or without a request
        self.answered = []  # those whose request was answered

    def request(self, path="/subscribe", receive_buffer=None):
        """A client that has sent its request and waits. `receive_buffer`: bytes that the kernel keeps for it."""
        client = self.exits.enter_context(socket.socket())
        client.settimeout(scaled(TIMEOUT_S))
        if receive_buffer:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        client.connect(("127.0.0.1", self.server.port))
        client.sendall(request_bytes(self.server.port, path))
        return client

    def accept(self):
        self.accepted.append(self.exits.enter_context(self.listener.accept()[0]))
        return self.accepted[-1]

    def accept_all(self):
        """Accept every new connection to the backend; how many there have been so far."""
        while can_read([self.listener]):
            self.accept()
        return len(self.accepted)

    def answer_requests(self):
        """Answer every new request to the backend; how many have been answered so far."""
        self.accept_all()
        requested = [connection for connection in can_read(self.accepted) if connection.recv(65536)]
        for connection in requested:
            connection.sendall(HEADERS)
        self.answered += requested
        return len(self.answered)

    def open_stream(self):
        """An open stream: the client's end and the backend's."""
        client, backend = self.request(), self.accept()
        assert b"/subscribe" in backend.recv(65536)
        backend.sendall(HEADERS)
        assert receive(client, len(HEADERS)) == HEADERS
        return client, backend

    def answers(self):
        """Whether the same worker answers /ping; a later request is answered later."""
        return ping(self.server.port, TIMEOUT_S).pid == self.pid


@contextmanager
def running_front(uwsgi, *options, listen=1024):
    run = short_private_folder()
    with ExitStack() as exits:
        exits.callback(shutil.rmtree, run)
        listener = exits.enter_context(socket.socket(socket.AF_UNIX))
        listener.bind(str(run / "sse.sock"))
        listener.listen(listen)
        listener.settimeout(scaled(TIMEOUT_S))
        ini = manifest.find("07_pitfalls").folder / "queue_full_broken.ini"
        options = [word.format(run=run) for word in options]
        server = exits.enter_context(Uwsgi(ini, run, port=free_port(), engine=find(uwsgi), options=options))
        server.wait_ready(Deadline(TIMEOUT_S))
        yield Front(server, run, listener, exits)


def descriptors(process):
    """The number of descriptors of its worker."""
    return len(os.listdir(f"/proc/{process.workers()[0].pid}/fd"))


def can_read(sockets):
    """The sockets with bytes, or their end, to read."""
    with selectors.DefaultSelector() as selector:
        for connection in sockets:
            selector.register(connection, selectors.EVENT_READ)
        return [key.fileobj for key, _ in selector.select(0)]


def receive(client, size=10**9):
    """`size` bytes, or all until the end."""
    data = b""
    while len(data) < size and (chunk := client.recv(min(65536, size - len(data)))):
        data += chunk
    return data


def receives_text(client, text):
    """Whether `client` receives `text` before the server closes the connection. Answers pings, as RFC 6455 demands."""
    while (message := client.receive()) is not None:
        if message.opcode == PING:
            client.send(frame(PONG, message.payload))
        if message.opcode == TEXT and text in message.payload.decode():
            return True
    return False
