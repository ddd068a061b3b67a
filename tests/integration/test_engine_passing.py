"""uwsgi_build/patches/07: an offload thread passes the visitor's socket to the app behind, and forgets it.

First one end of it with the test as app behind, then the other with the test as front, then both together.
"""

import os
import socket

import pytest

from offload_lab.clients.session import Session
from offload_lab.clients.sse import SseClient, request_bytes
from offload_lab.clients.websocket import WebSocketClient
from offload_lab.errors import ProcessDiedError
from offload_lab.process.polling import wait_for
from offload_lab.stages.stage import Stage
from offload_lab.timeouts import scaled
from offload_lab.uwsgi.protocol import connect, packet

from .conftest import EVENT, HEAD, TIMEOUT_S, find, hall, read, says

pytestmark = pytest.mark.full

PASS = ["--route", "^/subscribe passuwsgi:{run}/sse.sock,0,0"]
MANY = 50


def descriptors(process):
    """How many files, sockets included, its worker has open."""
    return len(os.listdir(f"/proc/{process.workers()[0].pid}/fd"))


def variables(behind):
    """The request up to its last byte: what came with a byte before that is lost."""
    size = int.from_bytes(read(behind, 4)[1:3], "little")
    return read(behind, size - 1)


def passed(behind):
    """The visitor, who comes with the last byte."""
    byte, descriptors, *_ = socket.recv_fds(behind, 9, 2)
    assert len(byte) == len(descriptors) == 1
    return socket.socket(fileno=descriptors[0])


def test_the_visitor_comes_with_the_last_byte_and_stays_when_the_front_is_gone():
    with hall("built", *PASS) as here:
        before = descriptors(here.front)
        visitor, behind = here.knock(), here.accept()
        assert b"/subscribe" in variables(behind)
        with passed(behind) as client:
            assert behind.recv(1) == b"", "the front has let go of the connection"
            wait_for(lambda: descriptors(here.front) == before, TIMEOUT_S, "a front without the visitor")
            assert here.serves()
            client.sendall(HEAD)
            assert read(visitor, len(HEAD)) == HEAD
            here.front.stop()
            client.sendall(EVENT)
            assert read(visitor, len(EVENT)) == EVENT
        assert read(visitor) == b"", "nobody else had her"


def test_a_long_request_comes_whole_before_its_visitor():
    with hall("built", *PASS) as here, socket.create_connection(("127.0.0.1", here.front.port)) as visitor:
        long = os.urandom(6 * 1024).hex()
        visitor.sendall(request_bytes(here.front.port, "/subscribe", cookie=f"{long};"))
        behind = here.accept()
        assert long.encode() in variables(behind)
        passed(behind).close()


def post(here, *with_the_head):
    """Somebody who has said that ten bytes follow."""
    visitor = here.exits.enter_context(socket.create_connection(("127.0.0.1", here.front.port), scaled(TIMEOUT_S)))
    visitor.sendall(
        b"\r\n".join([b"POST /subscribe HTTP/1.1", b"Host: hall", b"Content-Length: 10", b"", *with_the_head])
    )
    return visitor


def test_who_has_begun_to_say_more_is_carried():
    with hall("built", *PASS) as here:
        visitor, behind = post(here, b"01234"), here.accept()
        variables(behind)
        came, descriptors, *_ = socket.recv_fds(behind, 1, 2)
        assert (len(came), descriptors) == (1, [])
        assert read(behind, 5) == b"01234"
        visitor.sendall(b"56789")
        assert read(behind, 5) == b"56789"
        behind.sendall(HEAD)
        assert read(visitor, len(HEAD)) == HEAD


def test_who_has_not_begun_says_it_to_the_app_behind():
    with hall("built", *PASS) as here:
        visitor, behind = post(here, b""), here.accept()
        variables(behind)
        with passed(behind) as client:
            visitor.sendall(b"0123456789")
            assert read(client, 10) == b"0123456789"


def test_an_address_that_can_take_no_socket_is_refused_at_the_start():
    refusal = r"only a unix socket can take them: 127\.0\.0\.1:9,0,0"
    with pytest.raises(ProcessDiedError, match=refusal), hall("built", "--route", "^/ passuwsgi:127.0.0.1:9,0,0"):
        pass


def test_who_is_sent_to_an_address_that_turns_out_to_be_no_unix_socket_is_carried():
    with socket.create_server(("127.0.0.1", 0)) as door:
        door.settimeout(scaled(TIMEOUT_S))
        host, port = door.getsockname()
        actions = [f"addvar:DOOR={host}:{port}", "passuwsgi:${{DOOR}},0,0"]
        with hall("built", *(f"--route=^/subscribe {action}" for action in actions)) as here:
            visitor, behind = here.knock(), here.exits.enter_context(door.accept()[0])
            assert b"/subscribe" in variables(behind)
            behind.sendall(HEAD)
            assert read(visitor, len(HEAD)) == HEAD


def test_a_stock_uwsgi_does_not_start_with_it():
    with pytest.raises(ProcessDiedError, match=r"unable to register route .*passuwsgi"), hall("wheel", *PASS):
        pass


class Passing(Stage):
    """A step as it is, but for the route that hands over."""

    def __init__(self, step, variant, door, variable, **placeholders):
        actions = ["disableheaders:", f"passuwsgi:%(run)/{door},0,0"]
        routes = [f"--response-route-if-not=empty:${{{variable}}} {action}" for action in actions]
        super().__init__(
            step, variant, engine=find("built"), placeholders={"tick_s": "0.1", **placeholders}, options=routes
        )

    def __enter__(self):
        super().__enter__()
        self.ada = Session(self.port)
        self.ada.log_in()
        self.behind = self.processes[0]
        self.idle = descriptors(self.behind)
        return self

    def subscribe(self, *headers):
        return SseClient(self.port, cookie=self.ada.cookie, headers=headers, timeout_s=TIMEOUT_S)

    def lets_go(self):
        wait_for(lambda: descriptors(self.behind) == self.idle, TIMEOUT_S, "the app behind as it was before")

    def serve(self, more, before):
        """Wait until the app behind has done with so many."""
        wait_for(lambda: self.served() == before + more, TIMEOUT_S, f"{more} visitors served behind")

    def served(self):
        [worker] = self.behind.workers()
        return worker.requests


def tickets():
    return Passing("03_sse_offload", "header", "sse.sock", "X_OFFLOAD", heartbeat_s="0.1")


@pytest.fixture(scope="module")
def stage():
    with tickets() as stage:
        yield stage


@pytest.fixture
def behind(stage):
    """A connection to the app behind, as a front has it."""
    with connect(stage.run / "sse.sock") as behind:
        yield behind


REQUEST = packet({"REQUEST_METHOD": "GET", "PATH_INFO": "/subscribe", "X_OFFLOAD": "ada"})


def pass_on(behind, *descriptors):
    """The request in pieces, then its last byte, and `descriptors` with it."""
    for piece in (REQUEST[:2], REQUEST[2:9], REQUEST[9:-1]):
        behind.sendall(piece)
    socket.send_fds(behind, [REQUEST[-1:]], [one.fileno() for one in descriptors])


def test_of_two_sockets_the_app_behind_keeps_the_first(stage, behind):
    (visitor, client), (bystander, other) = socket.socketpair(), socket.socketpair()
    with visitor, bystander:
        with client, other:
            pass_on(behind, client, other)
        assert b"ticket" in read(visitor, 400)
        bystander.settimeout(scaled(TIMEOUT_S))
        assert bystander.recv(1) == b"", "nobody has the other end"
        assert b"ticket" in read(visitor, 400), "while the first one's stream goes on"
    behind.close()
    stage.lets_go()


def test_who_is_gone_on_arrival_leaves_nothing_behind(stage):
    before = stage.served()
    for _ in range(MANY):
        visitor, client = socket.socketpair()
        with connect(stage.run / "sse.sock") as behind, client:
            visitor.close()
            pass_on(behind, client)
    stage.serve(MANY, before)
    stage.lets_go()


def test_who_leaves_at_the_door_leaves_nothing_behind(stage):
    before = stage.served()
    for _ in range(MANY):
        with socket.create_connection(("127.0.0.1", stage.port), scaled(TIMEOUT_S)) as visitor:
            visitor.sendall(request_bytes(stage.port, "/subscribe", stage.ada.cookie))
    stage.serve(MANY, before)
    stage.lets_go()


def test_a_long_request_reaches_the_app_behind(stage):
    with stage.subscribe(("X-Long", "x" * 12 * 1024)) as ada:
        assert ada.next().type == "ticket"
    stage.lets_go()


def test_a_stream_outlives_its_front():
    with tickets() as stage, stage.subscribe() as ada:
        assert ada.head.status == 200
        ada.next()
        stage.front.stop()
        ada.read()  # all that was on its way
        heard = len(ada.events)
        while len(ada.events) == heard:
            assert ada.read(), "the stream goes on"
        ada.close()
        stage.lets_go()


def test_a_websocket_is_passed_as_well():
    with Passing("04_websocket", "offload", "board.sock", "OFFLOAD_VISITOR") as stage:
        with WebSocketClient(stage.port, headers={"Cookie": stage.ada.cookie}, timeout_s=TIMEOUT_S) as ada:
            stage.front.stop()
            ada.send_text("is anybody there?")
            assert says(ada, "is anybody there?")
        stage.lets_go()
