"""uwsgi_build/patches, `passuwsgi`: the backend takes the client's socket. First from the test, then from a front."""

import os
import re
import socket
import tempfile
from contextlib import ExitStack
from pathlib import Path

import pytest

from offload_lab.clients.session import Session
from offload_lab.clients.sse import SseClient, request_bytes
from offload_lab.clients.websocket import WebSocketClient
from offload_lab.process.polling import wait_for
from offload_lab.stages.stage import Stage
from offload_lab.testing import idle_workers
from offload_lab.timeouts import scaled
from offload_lab.uwsgi.protocol import connect, packet

from .conftest import TIMEOUT_S, descriptors, find, receive, receives_text
from .test_uwsgi_build_requests import bare

pytestmark = pytest.mark.full

MANY = 50


class Passing(Stage):
    """A step with `passuwsgi` in place of its offloading route."""

    def __init__(self, step, variant, listener, variable, **placeholders):
        actions = ["disableheaders:", f"passuwsgi:%(run)/{listener},0,0"]
        routes = [f"--response-route-if-not=empty:${{{variable}}} {action}" for action in actions]
        super().__init__(
            step, variant, engine=find("built"), placeholders={"tick_s": "0.1", **placeholders}, options=routes
        )

    def __enter__(self):
        super().__enter__()
        self.ada = Session(self.port)
        self.ada.log_in()
        self.backend = self.processes[0]
        self.idle = descriptors(self.backend)
        return self

    def subscribe(self, *headers):
        return SseClient(self.port, cookie=self.ada.cookie, headers=headers, timeout_s=TIMEOUT_S)

    def has_closed_all(self):
        wait_for(lambda: descriptors(self.backend) == self.idle, TIMEOUT_S, "the backend without client sockets")

    def serve(self, more, before):
        """Wait until the backend has finished `more` requests."""
        wait_for(lambda: self.served() == before + more, TIMEOUT_S, f"{more} requests finished by the backend")

    def served(self):
        [worker] = self.backend.workers()
        return worker.requests


def passing_stage():
    return Passing("03_sse_offload", "header", "sse.sock", "X_OFFLOAD", heartbeat_s="0.1")


@pytest.fixture(scope="module")
def stage():
    with passing_stage() as stage:
        yield stage


@pytest.fixture
def backend(stage):
    """A connection to the backend, as a front opens it."""
    with connect(stage.run / "sse.sock") as backend:
        yield backend


REQUEST = packet({"REQUEST_METHOD": "GET", "PATH_INFO": "/subscribe", "X_OFFLOAD": "ada"})


def pass_socket(backend, *sockets):
    """The request in pieces, then its last byte, and `sockets` with it."""
    for piece in (REQUEST[:2], REQUEST[2:9], REQUEST[9:-1]):
        backend.sendall(piece)
    socket.send_fds(backend, [REQUEST[-1:]], [each.fileno() for each in sockets])


def test_of_two_sockets_the_backend_keeps_the_first(stage, backend):
    (client, passed_socket), (bystander, other) = socket.socketpair(), socket.socketpair()
    with client, bystander:
        with passed_socket, other:
            pass_socket(backend, passed_socket, other)
        assert b"ticket" in receive(client, 400)
        bystander.settimeout(scaled(TIMEOUT_S))
        assert bystander.recv(1) == b"", "the backend closed the second one"
        assert b"ticket" in receive(client, 400), "while the first one's stream goes on"
    backend.close()
    stage.has_closed_all()


def test_a_descriptor_that_is_no_stream_socket_is_not_taken(stage, backend):
    """The answer comes on the connection: the front proxies it."""
    with tempfile.TemporaryFile() as file:
        pass_socket(backend, file)
    assert b"ticket" in receive(backend, 400)
    backend.close()
    stage.has_closed_all()


def test_a_listening_socket_is_not_taken(stage, backend):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        pass_socket(backend, listener)
    assert b"ticket" in receive(backend, 400)
    backend.close()
    stage.has_closed_all()


def test_a_socket_that_comes_before_the_end_of_the_request_is_not_taken(stage, backend):
    client, taken = socket.socketpair()
    with client, taken:
        socket.send_fds(backend, [REQUEST[:9]], [taken.fileno()])
        backend.sendall(REQUEST[9:])
    assert b"ticket" in receive(backend, 400)
    backend.close()
    stage.has_closed_all()


def test_a_client_gone_on_arrival_leaves_no_descriptor(stage):
    before = stage.served()
    for _ in range(MANY):
        client, passed_socket = socket.socketpair()
        with connect(stage.run / "sse.sock") as backend, passed_socket:
            client.close()
            pass_socket(backend, passed_socket)
    stage.serve(MANY, before)
    stage.has_closed_all()


def test_a_client_that_leaves_at_once_leaves_no_descriptor(stage):
    before = stage.served()
    for _ in range(MANY):
        with socket.create_connection(("127.0.0.1", stage.port), scaled(TIMEOUT_S)) as client:
            client.sendall(request_bytes(stage.port, "/subscribe", stage.ada.cookie))
    stage.serve(MANY, before)
    stage.has_closed_all()


def test_a_long_request_reaches_the_backend(stage):
    with stage.subscribe(("X-Long", "x" * 12 * 1024)) as ada:
        assert ada.next().type == "ticket"
    stage.has_closed_all()


def test_a_stream_outlives_its_front():
    with passing_stage() as stage, stage.subscribe() as ada:
        assert ada.head.status == 200
        ada.next()
        stage.front.stop()
        ada.read()  # what was already sent
        received = len(ada.events)
        while len(ada.events) == received:
            assert ada.read(), "the stream goes on"
        ada.close()
        stage.has_closed_all()


def test_a_websocket_is_passed_as_well():
    with Passing("04_websocket", "offload", "board.sock", "OFFLOAD_USER") as stage:
        with WebSocketClient(stage.port, headers={"Cookie": stage.ada.cookie}, timeout_s=TIMEOUT_S) as ada:
            stage.front.stop()
            ada.send_text("still connected?")
            assert receives_text(ada, "still connected?")
        stage.has_closed_all()


def test_a_passed_socket_is_closed_on_exec_where_an_accepted_one_is():
    with bare("built", "--close-on-exec", "--socket", "{run}/backend.sock") as server:
        client, passed_socket = socket.socketpair()
        with client, passed_socket, connect(server.run / "backend.sock") as backend:
            request = packet({"REQUEST_METHOD": "GET", "PATH_INFO": "/large", "SERVER_PROTOCOL": "HTTP/1.1"})
            inode = os.fstat(passed_socket.fileno()).st_ino
            socket.send_fds(backend, [request], [passed_socket.fileno()])
            assert receive(client, 12) == b"HTTP/1.1 200"  # and more than it reads: the worker is still writing
            [flags] = [flags for link, flags in descriptor_flags(server.pid) if link == f"socket:[{inode}]"]
            assert flags & os.O_CLOEXEC


def descriptor_flags(pid):
    for fd in os.listdir(f"/proc/{pid}/fd"):
        [flags] = re.findall(r"^flags:\s*(\d+)", Path(f"/proc/{pid}/fdinfo/{fd}").read_text(), re.MULTILINE)
        yield os.readlink(f"/proc/{pid}/fd/{fd}"), int(flags, 8)


def test_a_stock_uwsgi_as_backend_is_proxied_to():
    """Nothing is lost, although it knows nothing of passed sockets."""
    with ExitStack() as exits:
        backend = exits.enter_context(bare("wheel", "--socket", "{run}/backend.sock"))
        route = f"^/ping/passed passuwsgi:{backend.run}/backend.sock,0,0"
        front = exits.enter_context(bare("built", "--offload-threads", "1", "--route", route))
        answer = front.ask(b"GET /ping/passed HTTP/1.0\r\n\r\n")
        assert answer.startswith(b"HTTP/1.0 200")
        assert answer.endswith(b"pong http ")
        assert (idle_workers(front.server)[0].offloaded, idle_workers(backend.server)[0].requests > 0) == (1, True)
