"""buffer_size, sse_never_flushes, id_alone: what does not fit, what grows, what a cut loses."""

import pytest

from offload_lab.clients import fetch
from offload_lab.clients.sse import EventStreamParser
from offload_lab.process.polling import wait_for
from offload_lab.stages.stage import Stage
from offload_lab.testing import events_by, idle_workers

from .conftest import STEP, TIMEOUT_S

COOKIES = {"Cookie": "seats=" + "s" * 4096}


def send_message(stage, size, headers=None):
    """The backend's answer to a message of `size` bytes.

    Raises: ConnectionResetError.
    """
    return fetch(stage.port, f"/?bytes={size}", headers=headers).body.decode()


def log_has(process, text):
    wait_for(lambda: text in process.log.read_text(), TIMEOUT_S, f"{text!r} in the log of {process.name}")


@pytest.mark.core
def test_buffer_size_broken_sends_no_answer_when_a_message_does_not_fit(stage_of):
    stage = stage_of("buffer_size_broken")
    assert send_message(stage, 3000) == "3000 bytes arrived\n"
    with pytest.raises(ConnectionResetError):  # an empty reply
        send_message(stage, 4096)
    log_has(stage.front, "not enough buffer space to add MESSAGE variable")


def test_buffer_size_broken_sends_no_answer_to_a_client_with_many_cookies(stage_of):
    stage = stage_of("buffer_size_broken")
    with pytest.raises(ConnectionResetError):
        send_message(stage, 0, COOKIES)
    log_has(stage.front, "invalid HTTP request size (max 4096)")


def test_buffer_size_broken_takes_lengths_modulo_64_kib(stage_of):
    """uWSGI counts a variable's length in 16 bits and does not look: 65,540 bytes pass as their first four."""
    assert send_message(stage_of("buffer_size_broken"), 65_540) == "4 bytes arrived\n"


@pytest.mark.core
def test_buffer_size_fixed_passes_both_and_refuses_what_never_fits(stage_of):
    stage = stage_of("buffer_size_fixed")
    assert send_message(stage, 8192, COOKIES) == "8192 bytes arrived\n"
    for size in (8193, 65_540):
        assert fetch(stage.port, f"/?bytes={size}").status == 413


def test_buffer_size_of_the_backend_must_hold_the_fronts_packet():
    with Stage(STEP, "buffer_size_fixed", placeholders={"backend_bytes": "4096"}) as stage:
        assert send_message(stage, 3000) == "3000 bytes arrived\n"
        with pytest.raises(ConnectionResetError):
            send_message(stage, 8192)
        log_has(stage.processes[0], "invalid request block size")
        assert idle_workers(stage)[0].offloaded == 2, "the front believes that all is well"


def test_buffer_size_ends_at_64_kib_whatever_is_set():
    with Stage(STEP, "buffer_size_broken", placeholders={"front_bytes": "1000000"}) as stage:
        assert send_message(stage, 65_000) == "65000 bytes arrived\n"
        with pytest.raises(ConnectionResetError):
            send_message(stage, 65_535)


def tickets(stage, last):
    """What the stream's events say, up to the first that is ticket `last`. One read may take those after it, too."""
    seen = []
    with stage.subscribe() as stream:
        while seen[-1:] != [f"ticket {last}"]:
            seen.append(stream.next().data)
    return seen


@pytest.mark.core
def test_sse_never_flushes_broken_sends_n_squared(stage_of):
    seen = tickets(stage_of("sse_never_flushes_broken"), last=20)
    assert seen == [f"ticket {old}" for new in range(1, 21) for old in range(1, new + 1)]
    assert len(seen) == 210  # 20 · 21 / 2


@pytest.mark.core
def test_sse_never_flushes_fixed_sends_each_once(stage_of):
    assert tickets(stage_of("sse_never_flushes_fixed"), last=20) == [f"ticket {number}" for number in range(1, 21)]


@pytest.mark.core
def test_id_alone_broken_sends_events_without_data_or_without_ids(stage_of):
    stage = stage_of("id_alone_broken")
    retry, id_alone, event = events_by("httpx-sse", stage.url, 3)
    assert (retry, id_alone, event) == (("message", "", ""), ("message", "", "1"), ("ticket", "ticket 1", "1"))
    assert events_by("sseclient-py", stage.url, 2) == [("ticket", "ticket 1", None), ("ticket", "ticket 2", None)]


def test_id_alone_broken_loses_an_event_when_cut_after_the_id(stage_of):
    assert lost_by_a_cut(stage_of("id_alone_broken")) == {"ticket 2", "ticket 3"}


@pytest.mark.core
@pytest.mark.parametrize("client", ["httpx-sse", "sseclient-py"])
def test_id_alone_fixed_gives_each_event_its_id_and_no_other_event(stage_of, client):
    stage = stage_of("id_alone_fixed")
    assert events_by(client, stage.url, 3) == [("ticket", f"ticket {n}", str(n)) for n in (1, 2, 3)]


def test_id_alone_fixed_loses_nothing_wherever_the_connection_is_cut(stage_of):
    assert lost_by_a_cut(stage_of("id_alone_fixed")) == set()


def lost_by_a_cut(stage):
    """The events that a browser misses when the connection is cut at any byte after the first event."""
    first, third = b"ticket 1\n\n", b"ticket 3\n\n"
    with stage.subscribe(path="/") as stream:
        while third not in stream.body:
            stream.read()
    lost = set()
    for length in range(stream.body.index(first) + len(first), stream.body.index(third) + len(third)):
        parser = EventStreamParser()
        received = [event.data for event in parser.feed(stream.body[:length])]
        if (received[-1] != (last := f"ticket {parser.last_event_id}")) and last not in received:
            lost.add(last)
    return lost
