"""Both calls offload SSE and WebSocket alike, refusals keep their headers, an unfixed route() kills the worker."""

import http.client
import json
from contextlib import contextmanager

import pytest

from offload_lab.clients import fetch, ping
from offload_lab.clients.session import Session
from offload_lab.clients.sse import SseClient
from offload_lab.clients.websocket import TEXT, HandshakeError, WebSocketClient
from offload_lab.errors import MissingDependencyError
from offload_lab.process.deadlines import Deadline
from offload_lab.stages.stage import Stage
from offload_lab.testing import events_by, idle_workers, require
from offload_lab.uwsgi import binary


@contextmanager
def running(variant, on):
    """The stage on the uWSGI called `on`, with ada's Cookie header."""
    try:
        chosen = binary.find(on)
    except MissingDependencyError as missing:
        require(False, missing.what, missing.install)
    with Stage("05_uwsgi_api", variant, engine=chosen, placeholders={"tick_s": "0.1"}) as stage:
        ada = Session(stage.port)
        ada.log_in("ada", "lovelace")
        stage.ada = ada.cookie
        yield stage


@pytest.fixture(scope="module", params=[("add_var", "wheel"), ("route", "built")], ids=lambda param: param[0])
def stage(request):
    with running(*request.param) as stage:
        yield stage


@pytest.mark.core
def test_a_user_gets_events_in_her_name_and_the_streams_headers(stage):
    with SseClient(stage.port, cookie=stage.ada) as ada:
        assert ada.head.headers == [("Content-Type", "text/event-stream"), ("Cache-Control", "no-cache")]
        assert json.loads(ada.next().data)["user"] == "ada"


@pytest.mark.parametrize("client", ["httpx-sse", "sseclient-py"])
def test_strict_clients_see_each_event_with_its_id_and_no_other(stage, client):
    events = events_by(client, f"{stage.url}/subscribe", 4, stage.ada)
    assert [(type, json.loads(data)["user"]) for type, data, _ in events] == [("message", "ada")] * 4
    assert len({float(id) for _, _, id in events}) == 4


def test_without_the_clock_an_eventsource_gets_200_and_a_time_to_retry(stage):
    clock, [before] = stage.process("sse"), idle_workers(stage)
    clock.stop()
    with SseClient(stage.port, cookie=stage.ada) as ada:
        assert ada.read_all().endswith(b": the clock does not answer\n")
    [after] = idle_workers(stage)
    assert (ada.head.status, ada.head.get("X-Frame-Options")) == (200, ["DENY"])
    assert 1000 <= ada.parser.retry_ms <= 3000
    assert (after.pid, after.offloaded) == (before.pid, before.offloaded)
    clock.start()
    clock.wait_ready(Deadline(30))
    with SseClient(stage.port, cookie=stage.ada) as ada:
        assert json.loads(ada.next().data)["user"] == "ada"


@pytest.mark.core
def test_a_client_of_the_board_gets_its_own_message(stage):
    with WebSocketClient(stage.port, headers={"Cookie": stage.ada}) as ada:
        ada.send_text("hello")
        while "text" not in (news := json.loads(ada.receive().payload)):
            pass
        assert news == {"user": "ada", "text": "hello"}


@pytest.mark.core
def test_the_worker_is_free_while_both_are_open(stage):
    [before] = idle_workers(stage)
    with (
        SseClient(stage.port, cookie=stage.ada) as stream,
        WebSocketClient(stage.port, headers={"Cookie": stage.ada}) as board,
    ):
        assert ping(stage.port, timeout_s=30).pid == before.pid
        assert idle_workers(stage)[0].offloaded == before.offloaded + 2
        assert (stream.next().type, board.receive().opcode) == ("message", TEXT)


@pytest.mark.core
@pytest.mark.parametrize("path", ["/subscribe", "/ws"])
def test_a_refusal_keeps_djangos_headers(stage, path):
    refused = fetch(stage.port, path)
    assert (refused.status, refused.body) == (403, b"log in first\n")
    assert (refused.headers["X-Frame-Options"], refused.headers["Vary"]) == ("DENY", "Cookie")


def test_a_page_of_another_origin_is_refused(stage):
    with pytest.raises(HandshakeError, match="403"):
        WebSocketClient(stage.port, headers={"Cookie": stage.ada, "Origin": "https://evil.example"})


@pytest.mark.parametrize("name", ["OFFLOAD", "OFFLOADED", "Offload-User", "OFFLOAD_SERVER"])
def test_no_header_of_a_request_sets_a_variable(stage, name):
    assert fetch(stage.port, "/subscribe", headers={name: "y"}).headers["X-Frame-Options"] == "DENY"
    with SseClient(stage.port, cookie=stage.ada, headers=[(name, "y")]) as ada:
        assert json.loads(ada.next().data)["user"] == "ada"


def test_route_kills_the_worker_on_the_stock_wheel():
    with running("route", "wheel") as stage:
        [before] = stage.workers()
        with pytest.raises(http.client.RemoteDisconnected):
            fetch(stage.port, "/subscribe", headers={"Cookie": stage.ada})
        assert ping(stage.port, timeout_s=30).pid != before.pid
        assert before.pid not in stage.front.pids()
        assert "Segmentation Fault" in stage.front.log.read_text(errors="replace")
