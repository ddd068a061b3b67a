"""The event stream parser on the cases that the web platform's eventsource/format-* tests ask of browsers."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from offload_lab.clients.sse import Event, EventStreamParser


def parse(*chunks: bytes) -> list[tuple[str, str]]:
    parser = EventStreamParser()
    return [(event.type, event.data) for chunk in chunks for event in parser.feed(chunk)]


MESSAGE = "message"
CASES = {
    "one line": (b"data: ticket\n\n", [(MESSAGE, "ticket")]),
    "several lines of data": (b"data: one\ndata: two\ndata:\n\n", [(MESSAGE, "one\ntwo\n")]),
    "no closing blank line, no event": (b"data: one\n\ndata: two", [(MESSAGE, "one")]),
    "a line end is no blank line": (b"data: one\n", []),
    "an empty data field is an event": (b"data\n\n", [(MESSAGE, "")]),
    "two empty data fields": (b"data\ndata\n\ndata:\n\n", [(MESSAGE, "\n"), (MESSAGE, "")]),
    "data without data, then nothing": (b"data:\n", []),
    "one space after the colon is dropped, a second stays": (
        b"data:one\n\ndata:  two\n\n",
        [(MESSAGE, "one"), (MESSAGE, " two")],
    ),
    "a tab after the colon stays": (b"data:\tone\n\n", [(MESSAGE, "\tone")]),
    "a space before the field's name makes it unknown": (b" data: one\ndata: two\n\n", [(MESSAGE, "two")]),
    "a space before the colon makes it unknown": (b"data : one\n\n", []),
    "names are case-sensitive": (b"Data: one\nDATA: two\ndata: three\n\n", [(MESSAGE, "three")]),
    "unknown fields are ignored": (b"data:one\n cat:dog\njust text\ndata:two\n\n", [(MESSAGE, "one\ntwo")]),
    "colons in the value stay": (b"data: a:b: c\n\n", [(MESSAGE, "a:b: c")]),
    "comments": (b":\n: one\ndata: two\n:three\ndata: four\n:\n\n", [(MESSAGE, "two\nfour")]),
    "a comment of two kilobytes": (b":" + b"x" * 2048 + b"\ndata: one\n\n", [(MESSAGE, "one")]),
    "a named event": (b"event: ticket\ndata: one\n\ndata: two\n\n", [("ticket", "one"), (MESSAGE, "two")]),
    "an empty name is message": (b"event: \ndata: one\n\n", [(MESSAGE, "one")]),
    "the last name counts": (b"event: a\nevent: b\ndata: one\n\n", [("b", "one")]),
    "a name without data is forgotten": (b"event: ticket\n\ndata: one\n\n", [(MESSAGE, "one")]),
    "LF, CR and CRLF": (
        b"data: one\n\ndata: two\r\rdata: three\r\n\r\n",
        [(MESSAGE, t) for t in ("one", "two", "three")],
    ),
    "mixed line ends": (b"data:a\rdata:b\ndata:c\r\n\rdata:d\n\r", [(MESSAGE, "a\nb\nc"), (MESSAGE, "d")]),
    "no other line ends": ("data: a\u2028b\x0bc\x85\n\n".encode(), [(MESSAGE, "a\u2028b\x0bc\x85")]),
    "a byte order mark at the start": (b"\xef\xbb\xbfdata: one\n\n", [(MESSAGE, "one")]),
    "a second byte order mark": (b"\xef\xbb\xbf\xef\xbb\xbfdata: one\n\ndata: two\n\n", [(MESSAGE, "two")]),
    "a byte order mark later on": (b"data: one\n\n\xef\xbb\xbfdata: two\n\n", [(MESSAGE, "one")]),
    "UTF-8": ("data: ok…\n\n".encode(), [(MESSAGE, "ok…")]),
    "what is not UTF-8": (b"data: \xff\xc3(\n\n", [(MESSAGE, "\ufffd\ufffd(")]),
    "NUL in data": (b"data: a\0b\n\n", [(MESSAGE, "a\0b")]),
    "NUL in a field's name": (b"data\0: one\n\n", []),
    "no stream at all": (b"", []),
    "blank lines only": (b"\n\r\n\r\n\n", []),
}


@pytest.mark.parametrize(("stream", "events"), CASES.values(), ids=CASES)
def test_a_browser_would_see(stream, events):
    assert parse(stream) == events


@pytest.mark.parametrize("stream", [stream for stream, _ in CASES.values()], ids=CASES)
def test_it_does_not_matter_where_chunks_end(stream):
    assert parse(*(stream[i : i + 1] for i in range(len(stream)))) == parse(stream)


@given(
    st.lists(
        st.sampled_from(
            ["data", "data:", "data: ", "event: e", "id: 7", ":", "\r", "\n", "\r\n", "ö", "\ufeff", " ", "x"]
        )
    ),
    st.data(),
)
def test_nor_for_any_other_stream(words, data):
    stream = "".join(words).encode()
    cut = data.draw(st.integers(0, len(stream)))
    assert parse(stream[:cut], b"", stream[cut:]) == parse(stream)


IDS = {
    "kept until there is another": (b"id: 1\ndata: a\n\ndata: b\n\nid: 2\ndata: c\n\n", ["1", "1", "2"]),
    "set without an event": (b"id: 5\n\ndata: a\n\n", ["5"]),
    "of an event that never ends does not count": (b"data: a\n\nid: 9\ndata: b", [""]),
    "empty takes it back": (b"id: 1\ndata: a\n\nid\ndata: b\n\nid:\ndata: c\n\n", ["1", "", ""]),
    "with NUL is ignored": (b"id: 1\ndata: a\n\nid: 2\0\ndata: b\n\n", ["1", "1"]),
    "need not be a number": ("id: …\ndata: a\n\n".encode(), ["…"]),
}


@pytest.mark.parametrize(("stream", "ids"), IDS.values(), ids=IDS)
def test_the_last_event_id(stream, ids):
    assert [event.last_event_id for event in EventStreamParser().feed(stream)] == ids


@pytest.mark.parametrize(
    ("line", "retry_ms"),
    [
        (b"retry: 3000", 3000),
        (b"retry:03000", 3000),
        (b"retry", None),
        (b"retry: 3000x", None),
        (b"retry: -1", None),
        (b"retry: 1.5", None),
        ("retry: ²".encode(), None),
        (b"retry: 1000\nretry: bogus", 1000),
    ],
    ids=ascii,
)
def test_retry_takes_digits_only(line, retry_ms):
    parser = EventStreamParser()
    assert parser.feed(line + b"\n\n") == []
    assert parser.retry_ms == retry_ms


def test_comments_are_kept_for_whoever_wants_them():
    parser = EventStreamParser()
    assert parser.feed(": ♥\n\n:\n".encode()) == []
    assert parser.comments == ["♥", ""]


def test_an_event_says_what_it_is():
    assert EventStreamParser().feed(b"id: 1\nevent: ticket\ndata: x\n\n") == [Event("ticket", "x", "1")]
