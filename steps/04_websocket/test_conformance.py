"""Rules kept and broken, through the offloading front, on both backends: the table, attacks, and the worst two."""

import json
import os
import socket
from contextlib import suppress
from fnmatch import fnmatch
from typing import NamedTuple

import pytest
from hypothesis import example, given, settings
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
from offload_lab.testing import wait_for

from . import conformance
from .conformance import NO_CODE, Case
from .conformance_utf8 import utf8
from .conftest import next_news

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
CURED = os.environ.get("LAB_UWSGI") == "built"  # by engine/patches/04-websocket-own-fragments.patch

# What uWSGI's own WebSocket functions get wrong, and in which cases it shows.
NATIVE_BREAKS = {
    "an empty message is taken for none": "1.1.1 6.1.1 6.1.2",
    "an unfinished fragment is announced as a NUL character, so a real one is lost": "6.7.1",
    "binary is taken for text": "1.2.* 9.2.1",
    "a pong has no payload": "2.2 2.3 2.4 2.6 2.9 2.10 2.11 5.[678] 5.19 5.20",
    "a control frame may have any size": "2.5 7.3.6",
    "reserved bits are ignored": "3.*",
    "unknown opcodes are ignored": "4.*",
    "a message may begin inside another": "5.18",
    "UTF-8 is not checked": "6.3.* 6.6.[13468] 6.6.10 6.8.* 6.10.* 6.11.5 6.1[2-9].* 6.2[01].*",
    "close codes and reasons are not read": "7.3.2 7.5.1 7.9.* 7.13.*",
    "a message may have any number of fragments": "9.3.*",
    "a frame beyond the limit cuts the connection off without a word": "7.1.6 9.1.[23] 9.5.*",
}
NATIVE_CANNOT_RUN = {
    "a continuation of nothing kills the worker: a test of its own, below": "5.[12] 5.9 5.1[0-7]",
    "UTF-8 is not checked, and so it waits for the rest": "6.4.*",
}


def conduct(stage, case: Case) -> tuple:
    """Be the client of `case`. Returns what it heard and the server's closing code, 1006 if there was none."""
    with stage.visit(stage.ada) as client:
        client.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            for data in case.sends if case.hangs else (*case.sends, close_frame(1000)):
                client.send(data)
        except ConnectionError:
            pass  # it closed while we were still talking; what it said is there to read
        heard = []
        while (frame := client.receive()) is not None:
            if frame.opcode == CLOSE:
                return tuple(heard), frame.code
            if frame.opcode == PONG:
                heard.append(frame.payload)
            if frame.opcode == TEXT and "text" in (news := json.loads(frame.payload)):
                heard.append(news["text"])
    return tuple(heard), CUT_OFF


def on_native(case: Case):
    """`case` with what is known of it there: failing, and to be noticed once it does not fail any more."""
    for known, run in ((NATIVE_BREAKS, True), (NATIVE_CANNOT_RUN, False)):
        for reason, patterns in known.items():
            if any(fnmatch(case.number, pattern) for pattern in patterns.split()):
                return pytest.param(case, marks=pytest.mark.xfail(reason=reason, strict=True, run=run))
    return case


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.number)
def test_the_backend_to_copy_keeps_every_rule(offload, case):
    assert conduct(offload, case) == (case.hears, case.fails or case.closes)


@pytest.mark.parametrize("case", [on_native(case) for case in CASES], ids=lambda case: case.number)
def test_the_native_backend_keeps_no_rule_but_those_it_kept_before(native, case):
    heard, code = conduct(native, case)
    answered = code == NO_CODE and not case.fails  # it never repeats a code, which is rude but no error
    assert (heard, case.closes if answered else code) == (case.hears, case.fails or case.closes)


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
LAST = "that was all"
CUT = st.none() | st.integers(0, 400)
OFTEN = [TEXT] * 4 + [CONTINUATION] * 3
SELDOM = [TEXT] * 10 + [CONTINUATION] + list(range(1, 16))  # each may cost a second, for a new worker
FUZZ = settings(max_examples=150, derandomize=True, deadline=None, database=None)


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


def throw(stage, data: bytes, wait: bool) -> None:
    """Send `data` as ada and hang up, at once or when the server has closed the connection."""
    with stage.visit(stage.ada) as client:
        client.send(data)
        while wait and (said := client.receive()) is not None:
            if said.opcode == CLOSE:
                break


class Witness(WebSocketClient):
    """grace, who sits there all the time."""

    def __init__(self, stage) -> None:
        super().__init__(stage.port, headers={"Cookie": stage.grace})
        self.stage = stage
        self.hears()  # and answers the first ping: whoever does not within three seconds is sent away

    def hears(self) -> set[str] | None:
        """All that ada said until the next visitor is served; None if the witness's own connection is gone by then."""
        heard = set()
        with WebSocketClient(self.stage.port, headers={"Cookie": self.stage.grace}) as following:
            following.say("the next one, please")
            next_news(following, "text")
            while (said := self.receive()) is not None:
                news = json.loads(said.payload) if said.opcode == TEXT else {}
                if said.opcode == PING:
                    self.send(frame(PONG, said.payload))
                if news.get("user") == "grace":
                    return heard
                if news.get("user") == "ada":
                    heard.add(news["text"])
        return None


def test_whatever_one_client_throws_at_it_the_others_hear_only_its_lawful_messages(offload):
    lawful_so_far, pid = set(), offload.process("ws").workers()[0].pid

    @FUZZ
    @given(st.lists(frames(OFTEN + list(range(16))) | GARBAGE, max_size=8), CUT)
    def attack(pieces, cut):
        data = b"".join(piece.data for piece in pieces)[:cut] + close_frame(1000)
        texts, over = lawful(data)
        lawful_so_far.update(texts)
        throw(offload, data, wait=over)
        assert witness.hears() <= lawful_so_far

    with Witness(offload) as witness:
        attack()
    assert offload.process("ws").workers()[0].pid == pid


def throw_to_the_end(stage, data: bytes, cut: int | None) -> None:
    """Send `data` as ada and hang up: where it is cut, at once; else when all was read, her last word included."""
    with stage.visit(stage.ada) as client, suppress(ConnectionError):
        client.send(data[:cut])
        if cut is None:
            client.say(LAST)
            while (said := client.receive()) is not None and LAST.encode() not in said.payload:
                pass


def is_made_of(text: str, thrown: bytes) -> bool:
    """Whether all that is ASCII in `text` was thrown, in this order; of the rest the halves may have met elsewhere."""
    rest = iter(thrown)
    return all(ord(letter) in rest for letter in text if letter.isascii())


def test_whatever_one_client_throws_at_the_native_backend_only_a_continuation_kills_it_and_a_new_one_serves_the_next(
    native,
):
    """Whether a continuation kills depends on what others left in the buffer that they all share, so each one may."""
    backend, thrown, deaths = native.process("ws_native"), [], []

    @settings(FUZZ, max_examples=40)
    @given(st.lists(frames(SELDOM), max_size=8), CUT)
    @example([Piece(frame(CONTINUATION, b"x"), CONTINUATION, b"x")], None)
    def attack(pieces, cut):
        nonlocal witness
        [before] = backend.workers()
        thrown.append(b"".join(piece.payload for piece in pieces) + LAST.encode())
        throw_to_the_end(native, b"".join(piece.data for piece in pieces), cut)
        heard = witness.hears()
        [after] = backend.workers()
        assert (heard is None) == (after.pid != before.pid)
        if heard is None:
            assert CONTINUATION in [piece.opcode for piece in pieces]
            deaths.append(before.pid)
            witness.__exit__(None, None, None)
            witness = Witness(native)
        else:
            latest = thrown[-2:]  # one who hung up may be heard a little later
            assert all(any(is_made_of(text, one) for one in latest) for text in heard)

    witness = Witness(native)
    try:
        attack()
    finally:
        witness.__exit__(None, None, None)
    assert bool(deaths) is not CURED
    log = backend.log.read_text(errors="replace")
    assert all(f"DAMN ! worker 1 (pid: {pid}) died" in log for pid in deaths)


def half_a_message(client, data: bytes) -> None:
    """Send an unfinished fragment. Returns when the server has it, as it answers a ping that was sent after it."""
    client.send(frame(TEXT, data, final=False) + frame(PING))
    while client.receive().opcode != PONG:
        pass


def test_a_fragment_belongs_to_one_client_and_another_one_cannot_continue_it(offload):
    with offload.visit(offload.ada) as ada, offload.visit(offload.grace) as grace:
        half_a_message(ada, b"my password is ")
        grace.send(frame(CONTINUATION, b"whatever she said"))
        while (last := grace.receive()).opcode != CLOSE:
            pass
        assert last.code == conformance.PROTOCOL_ERROR
        ada.send(frame(CONTINUATION, b"mine"))
        assert next_news(ada, "text") == {"user": "ada", "text": "my password is mine"}


def test_on_the_native_backend_another_client_publishes_what_one_left_unfinished(native_stock):
    with native_stock.visit(native_stock.ada) as ada, native_stock.visit(native_stock.grace) as grace:
        half_a_message(ada, b"my password is ")
        grace.send(frame(CONTINUATION, b"whatever she said"))
        assert next_news(grace, "text") == {"user": "grace", "text": "my password is whatever she said"}


def test_on_the_native_backend_seven_bytes_kill_the_worker_and_everybodys_connection(native_stock):
    [before] = native_stock.process("ws_native").workers()
    with native_stock.visit(native_stock.ada) as bystander, native_stock.visit(native_stock.grace) as grace:
        grace.send(frame(CONTINUATION, b"x"))
        while bystander.receive() is not None:
            pass
    wait_for(lambda: before.pid not in native_stock.process("ws_native").pids(), 30, "the worker's end")
    assert "Segmentation Fault" in native_stock.process("ws_native").log.read_text(errors="replace")
    with native_stock.visit(native_stock.ada):  # the next one is served, by a worker that is there by now
        pass
