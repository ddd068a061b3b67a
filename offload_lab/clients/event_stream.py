"""The bytes of an event stream → the events that a browser dispatches. No socket here."""

import codecs
from collections.abc import Iterator
from dataclasses import dataclass

BOM = "\ufeff"


@dataclass(frozen=True)
class Event:
    """An event that a browser dispatches; `type` is "message" where the stream names none."""

    type: str
    data: str
    last_event_id: str = ""


class EventStreamParser:
    """Bytes in, events out, by the rules of https://html.spec.whatwg.org/multipage/server-sent-events.html.

    Chunks may end anywhere, also inside a character or between CR and LF. Without its closing blank line an event is
    none, so at the end of a stream there is nothing to flush.
    """

    def __init__(self) -> None:
        self.last_event_id = ""
        self.retry_ms: int | None = None
        self.comments: list[str] = []
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._pending = ""  # of an incomplete line
        self._at_start, self._after_cr = True, False
        self._data: list[str] = []
        self._type = self._id = ""

    def feed(self, chunk: bytes) -> list[Event]:
        return [event for line in self._lines(self._decoder.decode(chunk)) if (event := self._line(line)) is not None]

    def _lines(self, text: str) -> Iterator[str]:
        if self._at_start and text:
            self._at_start, text = False, text.removeprefix(BOM)
        if self._after_cr and text:
            self._after_cr, text = False, text.removeprefix("\n")  # the other half of a CRLF
        self._after_cr = text.endswith("\r") or (self._after_cr and not text)
        lines = (self._pending + text).replace("\r\n", "\n").replace("\r", "\n").split("\n")
        self._pending = lines.pop()
        yield from lines

    def _line(self, line: str) -> Event | None:
        if not line:
            return self._dispatch()
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if not name:
            self.comments.append(value)
        elif name == "data":
            self._data.append(value)
        elif name == "event":
            self._type = value
        elif name == "id" and "\0" not in value:
            self._id = value
        elif name == "retry" and value.isascii() and value.isdigit():
            self.retry_ms = int(value)
        return None

    def _dispatch(self) -> Event | None:
        self.last_event_id = self._id
        data, kind = self._data, self._type
        self._data, self._type = [], ""
        return Event(kind or "message", "\n".join(data), self.last_event_id) if data else None
