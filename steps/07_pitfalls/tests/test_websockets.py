"""cross_site_websocket, shared_fragments: whose page it is, and whose words."""

import json

import pytest

from offload_lab.clients.session import Session
from offload_lab.clients.websocket import CONTINUATION, PING, PONG, TEXT, HandshakeError, WebSocketClient, frame

from .conftest import TIMEOUT_S

EVIL = "https://evil.example"


def visit(stage, name, password, **headers) -> WebSocketClient:
    visitor = Session(stage.port)
    visitor.log_in(name, password)
    return WebSocketClient(stage.port, headers={"Cookie": visitor.cookie, **headers}, timeout_s=TIMEOUT_S)


def ada_visits(stage, **headers) -> WebSocketClient:
    return visit(stage, "ada", "lovelace", **headers)


def next_message(client) -> dict:
    """The next one that somebody wrote; the clock's are left out."""
    while (said := client.receive()) is not None:
        if said.opcode == TEXT and "text" in (news := json.loads(said.payload)):
            return news
    raise AssertionError("the server closed the connection")


@pytest.mark.core
def test_cross_site_websocket_broken_lets_another_sites_page_talk_as_ada(stage_of):
    stage = stage_of("cross_site_websocket_broken")
    with ada_visits(stage) as ada:
        with ada_visits(stage, Origin=EVIL) as page:  # ada's browser sends her cookie along, whoever wrote the page
            page.send_text("all my money to evil.example, please")
            assert next_message(ada)["user"] == "ada"
            ada.send_text("a secret")
            while next_message(page)["text"] != "a secret":  # ... and the page may listen, which fetch() may not
                pass


@pytest.mark.core
def test_cross_site_websocket_fixed_refuses_another_sites_page(stage_of):
    stage = stage_of("cross_site_websocket_fixed")
    with pytest.raises(HandshakeError) as refused:
        ada_visits(stage, Origin=EVIL)
    assert refused.value.status == 403
    assert stage.workers()[0].offloaded == 0
    with ada_visits(stage) as ada:
        ada.send_text("hello")
        assert next_message(ada) == {"user": "ada", "text": "hello"}


def leave_half_a_message(client) -> None:
    """Returns when the server has it, as it answers a ping that was sent after it."""
    client.send(frame(TEXT, b"ada's PIN is 18", final=False) + frame(PING))
    while (said := client.receive()) is not None and said.opcode != PONG:
        pass


@pytest.mark.core
def test_shared_fragments_broken_gives_adas_half_message_to_grace(stage_of):
    stage = stage_of("shared_fragments_broken")
    with ada_visits(stage) as ada, visit(stage, "grace", "hopper") as grace:
        leave_half_a_message(ada)
        grace.send(frame(CONTINUATION, b"15"))
        assert next_message(grace) == {"user": "grace", "text": "ada's PIN is 1815"}


@pytest.mark.core
def test_shared_fragments_fixed_keeps_each_clients_fragments_apart(stage_of):
    stage = stage_of("shared_fragments_fixed")
    with ada_visits(stage) as ada:
        leave_half_a_message(ada)
        with visit(stage, "grace", "hopper") as grace:
            grace.send(frame(CONTINUATION, b"15"))
            while grace.receive() is not None:  # it is her who is shown out: she continues nothing
                pass
        ada.send(frame(CONTINUATION, b"15"))
        assert next_message(ada) == {"user": "ada", "text": "ada's PIN is 1815"}
