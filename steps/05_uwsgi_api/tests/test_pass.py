"""pass.ini on the patched uWSGI: the backend holds the client's own socket, and the front may go and come."""

import json
import time
from contextlib import contextmanager

import pytest

from offload_lab.clients import ping
from offload_lab.clients.event_stream_pool import EventStreamPool
from offload_lab.clients.session import Session
from offload_lab.clients.sse import SseClient
from offload_lab.clients.websocket import WebSocketClient
from offload_lab.errors import MissingDependencyError
from offload_lab.inspect.socket_owners import find_socket_owners
from offload_lab.process.deadlines import Deadline
from offload_lab.process.polling import wait_for
from offload_lab.stages.stage import Stage
from offload_lab.testing import require
from offload_lab.uwsgi import binary
from offload_lab.uwsgi.server import Uwsgi

TIMEOUT_S = 30
MANY = 20


@contextmanager
def passing():
    try:
        patched = binary.find("built")
    except MissingDependencyError as missing:
        require(False, missing.what, missing.install)
    with Stage("05_uwsgi_api", "pass", engine=patched, placeholders={"tick_s": "0.1", "ping_s": "3600"}) as stage:
        session = Session(stage.port)
        session.log_in("ada", "lovelace")
        stage.ada = session.cookie
        yield stage


@pytest.fixture(scope="module")
def stage():
    with passing() as stage:
        yield stage


@pytest.mark.core
def test_the_backend_holds_the_clients_socket_and_the_front_does_not(stage):
    with SseClient(stage.port, cookie=stage.ada) as ada:
        assert json.loads(ada.next().data)["user"] == "ada"
        pids = [*stage.front.pids(), *stage.process("sse").pids()]

        def owners():
            return [owner.pid for owner in find_socket_owners(stage.port, ada.address[1], pids)]

        wait_for(lambda: owners() == [stage.process("sse").workers()[0].pid], TIMEOUT_S, "the backend alone")
        assert ping(stage.port, TIMEOUT_S).status == 200


@pytest.mark.core
def test_a_stream_and_a_websocket_outlive_a_stop_and_start_of_the_front():
    with (
        passing() as stage,
        SseClient(stage.port, cookie=stage.ada) as stream,
        WebSocketClient(stage.port, headers={"Cookie": stage.ada}) as board,
    ):
        stream.next()
        stage.front.stop()
        stage.front.start()
        stage.front.wait_ready(Deadline(TIMEOUT_S))
        started = time.time()
        while float(stream.next().last_event_id) < started:
            pass
        board.send_text("still here")
        while "text" not in (news := json.loads(board.receive().payload)):
            pass
        assert news == {"user": "ada", "text": "still here"}
        with SseClient(stage.port, cookie=stage.ada) as another:
            assert json.loads(another.next().data)["user"] == "ada"


def test_streams_to_a_stock_backend_are_proxied_and_none_is_lost():
    with passing() as stage, stock_backend(stage) as backend:
        with EventStreamPool(stage.port, MANY, cookie=stage.ada) as clients:
            clients.wait_for_events(2, TIMEOUT_S)
            assert clients.open == MANY
        with SseClient(stage.port, cookie=stage.ada) as ada:
            assert json.loads(ada.next().data)["user"] == "ada"
            pids = [*stage.front.pids(), *backend.pids()]
            [owner] = find_socket_owners(stage.port, ada.address[1], pids)
            assert owner.pid == stage.workers()[0].pid
            assert not owner.is_main_thread


@contextmanager
def stock_backend(stage):
    """The wheel in the place of the clock's patched uWSGI: it knows nothing of passed sockets."""
    patched = stage.process("sse")
    patched.stop()
    with Uwsgi(patched.ini, stage.run, engine=binary.find("wheel"), placeholders={"tick_s": "0.1"}) as wheel:
        wheel.wait_ready(Deadline(TIMEOUT_S))
        yield wheel
