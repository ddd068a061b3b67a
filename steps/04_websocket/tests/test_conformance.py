"""Rules kept and broken, through the offloading front, on both backends: the table, attacks, and the worst two."""

import json
import re
import socket
from pathlib import Path
from typing import NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from websockets.protocol import OPEN, Protocol, Side

from offload_lab.clients.websocket import (
    BINARY,
    CLOSE,
    CONTINUATION,
    PING,
    PONG,
    TEXT,
    WebSocketClient,
    close_frame,
    frame,
)
from offload_lab.process.polling import wait_for
from offload_lab.uwsgi import binary

from . import conformance
from .conformance import NO_CODE, Case
from .conformance_utf8 import utf8
from .conftest import Board, next_news

CASES = [
    *conformance.framing(),
    *conformance.pings(),
    *conformance.reserved_bits(),
    *conformance.opcodes(),
    *conformance.fragmentation(),
    *utf8(),
    *conformance.closing(),
    *conformance.limits(),
]
CUT_OFF = 1006
CLOSED = "the server closes the connection"
RECORDED = Path(__file__).parents[1] / "native.md"
NOT_RUN = "6.4."  # UTF-8 is not checked there, and so it waits for the rest


def conduct(stage, case: Case) -> tuple[tuple, int, str]:
    """Be the client of `case`. Returns what it heard, the server's closing code (1006 if there was none), the end."""
    with stage.connect(stage.ada) as client:
        client.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            for data in case.sends if case.hangs else (*case.sends, close_frame(1000)):
                client.send(data)
        except ConnectionError:
            pass  # it closed while we were still talking; what it said is there to read
        received = []
        while (frame := client.receive()) is not None:
            if frame.opcode == CLOSE:
                if case.answers_close:
                    client.send(case.rest + close_frame(frame.code))
                return tuple(received), frame.code, how_it_ends(client)
            if frame.opcode == PONG:
                received.append(frame.payload)
            if frame.opcode == TEXT and "text" in (news := json.loads(frame.payload)):
                received.append(news["text"])
    return tuple(received), CUT_OFF, CLOSED


def how_it_ends(client: WebSocketClient) -> str:
    """What comes after both Close frames. The board would wait for minutes: closing only then is not seen here."""
    try:
        following = client.receive()
    except TimeoutError:
        return "the connection stays open"
    return CLOSED if following is None else f"a frame with opcode {following.opcode}"


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.number)
def test_the_backend_to_copy_keeps_every_rule(offload, case):
    assert conduct(offload, case) == (case.hears, case.fails or case.closes, CLOSED)


def in_short(received: tuple, code: int) -> str:
    """An outcome as `native.md` has it."""
    parts = [ascii(part) if len(part) < 50 else f"{part[:4]!a} and {len(part) - 4:,} more" for part in received]
    return ", ".join([*parts, str(code)])


def outcome(native: Board, case: Case) -> str:
    """What `case` comes to on the native backend; if cut off, the next client shows whether the worker died."""
    [before] = native.process("ws_native").workers()
    received, code, end = conduct(native, case)
    if end != CLOSED:
        return end
    if code == CUT_OFF:
        with native.connect(native.grace):
            pass
        [after] = native.process("ws_native").workers()
        if after.pid != before.pid:
            return "the worker dies"
    answered = code == NO_CODE and not case.fails  # it never repeats a code, which is rude but no error
    return in_short(received, case.closes if answered else code)


def recorded(engine_name: str) -> dict[str, str]:
    """The broken cases' outcomes from `native.md`, by number."""
    rows = [line.split(" | ") for line in RECORDED.read_text().splitlines() if re.match(r"\| \d", line)]
    return {row[0].strip("| "): row[["wheel", "built"].index(engine_name) + 2].strip("| `") for row in rows}


@pytest.mark.parametrize("engine_name", ["wheel", "built"])
def test_the_native_backend_breaks_exactly_the_recorded_rules(engine_name, request):
    uwsgi = binary.find("wheel") if engine_name == "wheel" else request.getfixturevalue("built")
    owed = {case.number: in_short(case.hears, case.fails or case.closes) for case in CASES}
    with Board("native", tick_s=0.02, engine=uwsgi) as native:
        outcomes = {case.number: outcome(native, case) for case in CASES if not case.number.startswith(NOT_RUN)}
    broken = {number: how for number, how in outcomes.items() if how != owed[number]}
    known = recorded(engine_name)
    # a connection that is reset discards what the client has not read yet, so a message before that may be lost
    lost = {
        number: how
        for number, how in known.items()
        if broken.get(number) == str(CUT_OFF) and how.endswith(f", {CUT_OFF}")
    }
    assert broken | lost == known


class Piece(NamedTuple):
    """What a client throws: a frame, or garbage, which has no opcode."""

    data: bytes
    opcode: int | None = None
    payload: bytes = b""


def frames(opcodes):
    """Frames of any kind, right or wrong."""
    return st.builds(
        lambda opcode, payload, final, reserved, masked: Piece(
            frame(opcode, payload, final=final, reserved=reserved, masked=masked), opcode, payload
        ),
        opcode=st.sampled_from(opcodes),
        payload=st.text(max_size=40).map(str.encode) | st.binary(max_size=300),
        final=st.booleans() | st.just(True),
        reserved=st.just(0) | st.integers(0, 7),
        masked=st.just(True) | st.booleans(),
    )


GARBAGE = st.binary(max_size=40).map(Piece)
CUT = st.none() | st.integers(0, 400)
OFTEN = [TEXT] * 4 + [CONTINUATION] * 3
FUZZ = settings(max_examples=150)


def lawful(data: bytes) -> tuple[list[str], bool]:
    """What an implementation that has nothing to do with ours reads in `data`: the texts, and if that was the end."""
    reader, texts, message = Protocol(Side.SERVER, max_size=None), [], b""
    reader.receive_data(data)
    for event in reader.events_received():
        if event.opcode == BINARY:
            return texts, True
        if event.opcode in (TEXT, CONTINUATION):
            message += event.data
            if event.fin:
                try:
                    texts.append(message.decode())
                except UnicodeDecodeError:
                    return texts, True
                message = b""
    return texts, reader.state is not OPEN or reader.parser_exc is not None


def until_clients(witness: WebSocketClient, count: int) -> list[str]:
    """All that ada says until the board counts `count` clients."""
    texts = []
    while (received := witness.receive()) is not None:
        if received.opcode == PING:
            witness.send(frame(PONG, received.payload))
        if received.opcode == TEXT:
            news = json.loads(received.payload)
            if news.get("clients") == count:
                return texts
            if news.get("user") == "ada":
                texts.append(news["text"])
    raise AssertionError("the board closed the witness's connection")


def received_by_another(stage: Board, data: bytes, wait: bool) -> list[str]:
    """Send `data` as ada and hang up, at once or when the server has closed. Returns what grace heard of it by then.

    The board's own count of its clients says when it has begun and ended with ada, so nothing of one call can reach
    into the next one.
    """
    with stage.connect(stage.grace) as witness:
        until_clients(witness, 1)
        with stage.connect(stage.ada) as attacker:
            until_clients(witness, 2)
            attacker.send(data)
            while wait and (answer := attacker.receive()) is not None:
                if answer.opcode == CLOSE:
                    break
        return until_clients(witness, 1)


def test_others_get_only_the_valid_messages_of_a_client_that_breaks_rules():
    @FUZZ
    @given(st.lists(frames(OFTEN + list(range(16))) | GARBAGE, max_size=8), CUT)
    def attack(pieces, cut):
        data = b"".join(piece.data for piece in pieces)[:cut] + close_frame(1000)
        texts, over = lawful(data)
        received = received_by_another(stage, data, wait=over)
        assert received == texts if over else received == texts[: len(received)]

    with Board("offload", tick_s=0.01) as stage:
        before = stage.process("ws").workers()
        attack()
        assert [worker.pid for worker in stage.process("ws").workers()] == [worker.pid for worker in before]


def half_a_message(client, data: bytes) -> None:
    """Send an unfinished fragment. Returns when the server has it, as it answers a ping that was sent after it."""
    client.send(frame(TEXT, data, final=False) + frame(PING))
    while client.receive().opcode != PONG:
        pass


@pytest.mark.core
def test_a_fragment_belongs_to_one_client_and_no_other_can_continue_it(offload):
    with offload.connect(offload.ada) as ada, offload.connect(offload.grace) as grace:
        half_a_message(ada, b"my password is ")
        grace.send(frame(CONTINUATION, b"whatever she said"))
        while (last := grace.receive()).opcode != CLOSE:
            pass
        assert last.code == conformance.PROTOCOL_ERROR
        ada.send(frame(CONTINUATION, b"mine"))
        assert next_news(ada, "text") == {"user": "ada", "text": "my password is mine"}


@pytest.mark.core
def test_the_native_backend_posts_a_fragment_in_another_clients_name(native_stock):
    with native_stock.connect(native_stock.ada) as ada, native_stock.connect(native_stock.grace) as grace:
        half_a_message(ada, b"my password is ")
        grace.send(frame(CONTINUATION, b"whatever she said"))
        assert next_news(grace, "text") == {"user": "grace", "text": "my password is whatever she said"}


def test_seven_bytes_kill_the_native_backend_with_all_connections(native_stock):
    [before] = native_stock.process("ws_native").workers()
    with native_stock.connect(native_stock.ada) as bystander, native_stock.connect(native_stock.grace) as grace:
        grace.send(frame(CONTINUATION, b"x"))
        while bystander.receive() is not None:
            pass
    wait_for(lambda: before.pid not in native_stock.process("ws_native").pids(), 30, "the worker's end")
    assert "Segmentation Fault" in native_stock.process("ws_native").log.read_text(errors="replace")
    with native_stock.connect(native_stock.ada):  # the next one is served, by a worker that is there by now
        pass
