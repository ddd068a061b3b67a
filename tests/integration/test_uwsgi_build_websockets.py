"""The patches of uWSGI's own WebSocket functions: fragments, limits, and errors of protocol."""

import pytest

from offload_lab.clients.session import Session
from offload_lab.clients.websocket import CONTINUATION, PING, PONG, TEXT, WebSocketClient, frame
from offload_lab.stages.stage import Stage

from .conftest import TIMEOUT_S, find, receives_text
from .test_uwsgi_build_patches import stock_fails

pytestmark = pytest.mark.full


def open_websocket(stage, name, password):
    session = Session(stage.port)
    session.log_in(name, password)
    return WebSocketClient(stage.port, headers={"Cookie": session.cookie}, timeout_s=TIMEOUT_S)


@pytest.fixture(scope="module")
def board(uwsgi):
    with Stage("04_websocket", "native", engine=find(uwsgi), placeholders={"tick_s": "0.1"}) as stage:
        yield stage


@stock_fails
def test_a_fragment_stays_with_its_connection(board):
    with open_websocket(board, "ada", "lovelace") as ada, open_websocket(board, "grace", "hopper") as grace:
        ada.send(frame(TEXT, b"my password is ", final=False) + frame(PING))
        while ada.receive().opcode != PONG:  # the server has it
            pass
        grace.send(frame(CONTINUATION, b"of another client"))
        assert not receives_text(grace, "my password is of another client")
        ada.send(frame(CONTINUATION, b"mine"))
        assert receives_text(ada, "my password is mine")


@stock_fails
def test_a_message_inside_another_ends_the_connection(board):
    with open_websocket(board, "ada", "lovelace") as ada:
        ada.send(frame(TEXT, b"a beginning ", final=False) + frame(TEXT, b"another"))
        assert not receives_text(ada, "another")


@stock_fails
def test_a_lone_continuation_ends_its_own_connection_only(board):
    [before] = board.process("ws_native").workers()
    with open_websocket(board, "ada", "lovelace") as bystander, open_websocket(board, "grace", "hopper") as grace:
        grace.send(frame(CONTINUATION, b"x"))
        assert not receives_text(grace, "x")
        bystander.send_text("still here")
        assert receives_text(bystander, "still here")
    [after] = board.process("ws_native").workers()
    assert after.pid == before.pid


@stock_fails
def test_a_message_of_fragments_is_bounded_by_the_limit_of_a_frame(board):
    """64 KiB in ws_native.ini."""
    with open_websocket(board, "ada", "lovelace") as ada:
        ada.send(frame(TEXT, b"x" * 30_000, final=False))
        ada.send(frame(CONTINUATION, b"x" * 30_000, final=False))
        ada.send(frame(CONTINUATION, b"x" * 30_000 + b"the end"))
        assert not receives_text(ada, "the end")
