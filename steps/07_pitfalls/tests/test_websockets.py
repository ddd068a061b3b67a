"""cross_site_websocket, shared_fragments: another site's page, and another user's fragments."""

import json

import pytest

from offload_lab.clients.session import Session
from offload_lab.clients.websocket import CONTINUATION, PING, PONG, TEXT, HandshakeError, WebSocketClient, frame
from offload_lab.testing import idle_workers

from .conftest import TIMEOUT_S

EVIL = "https://evil.example"


def connect(stage, name, password, **headers) -> WebSocketClient:
    session = Session(stage.port)
    session.log_in(name, password)
    return WebSocketClient(stage.port, headers={"Cookie": session.cookie, **headers}, timeout_s=TIMEOUT_S)


def connect_as_ada(stage, **headers) -> WebSocketClient:
    return connect(stage, "ada", "lovelace", **headers)


def next_message(client) -> dict:
    """The next message of a user; the clock's are left out."""
    while (message := client.receive()) is not None:
        if message.opcode == TEXT and "text" in (content := json.loads(message.payload)):
            return content
    raise AssertionError("the server closed the connection")


@pytest.mark.core
def test_cross_site_websocket_broken_lets_another_sites_page_talk_as_ada(stage_of):
    stage = stage_of("cross_site_websocket_broken")
    with connect_as_ada(stage) as ada:
        with connect_as_ada(stage, Origin=EVIL) as page:  # ada's browser sends her cookie along with any page
            page.send_text("all my money to evil.example, please")
            assert next_message(ada)["user"] == "ada"
            ada.send_text("a secret")
            while next_message(page)["text"] != "a secret":  # ... and the page may listen, which fetch() may not
                pass


@pytest.mark.core
def test_cross_site_websocket_fixed_refuses_another_sites_page(stage_of):
    stage = stage_of("cross_site_websocket_fixed")
    with pytest.raises(HandshakeError) as refused:
        connect_as_ada(stage, Origin=EVIL)
    assert refused.value.status == 403
    assert idle_workers(stage)[0].offloaded == 0
    with connect_as_ada(stage) as ada:
        ada.send_text("hello")
        assert next_message(ada) == {"user": "ada", "text": "hello"}


def send_half_a_message(client) -> None:
    """Returns once the server has it: it answers a ping that was sent after it."""
    client.send(frame(TEXT, b"ada's PIN is 18", final=False) + frame(PING))
    while (message := client.receive()) is not None and message.opcode != PONG:
        pass


@pytest.mark.core
def test_shared_fragments_broken_gives_adas_half_message_to_grace(stage_of):
    stage = stage_of("shared_fragments_broken")
    with connect_as_ada(stage) as ada, connect(stage, "grace", "hopper") as grace:
        send_half_a_message(ada)
        grace.send(frame(CONTINUATION, b"15"))
        assert next_message(grace) == {"user": "grace", "text": "ada's PIN is 1815"}


@pytest.mark.core
def test_shared_fragments_fixed_keeps_each_clients_fragments_apart(stage_of):
    stage = stage_of("shared_fragments_fixed")
    with connect_as_ada(stage) as ada:
        send_half_a_message(ada)
        with connect(stage, "grace", "hopper") as grace:
            grace.send(frame(CONTINUATION, b"15"))
            while grace.receive() is not None:  # her connection is closed: her fragment continues no message
                pass
        ada.send(frame(CONTINUATION, b"15"))
        assert next_message(ada) == {"user": "ada", "text": "ada's PIN is 1815"}
