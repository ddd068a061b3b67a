"""Subscribers that reconnect as a browser's EventSource does.

Each waits as long as the stream's last ``retry`` says, connects again, and sends the id of its last event as
``Last-Event-ID``. An answer that is no event stream ends it for good.
"""

import heapq
import itertools
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from .event_stream import Event, EventStreamParser
from .pool import Pool
from .sse import Head, request_bytes

RETRY_MS = 3000  # until a stream sets another; browsers have about that
AT_ONCE = 50  # first connections under way


@dataclass
class EventSource:
    """One subscriber. `connections` counts the streams that were opened, `given_up` is why there will be no more."""

    events: list[Event] = field(default_factory=list)
    last_event_id: str = ""
    retry_ms: int = RETRY_MS
    connections: int = 0
    open: bool = False
    given_up: str = ""

    def begin(self) -> None:
        """Prepare for a new stream. By the HTML standard its parser knows no id until the stream sends one."""
        self.parser, self.head = EventStreamParser(), b""
        self.parser.last_event_id = self.last_event_id

    def take(self, chunk: bytes) -> None:
        """Raises: ConnectionError for an answer after which a browser would not reconnect."""
        if not self.open:
            self.head += chunk
            raw, ended, chunk = self.head.partition(b"\r\n\r\n")
            if not ended:
                return
            head = Head.parse(raw)
            if head.status != 200 or not "".join(head.get("Content-Type")).startswith("text/event-stream"):
                raise ConnectionError(f"{head.status} {head.get('Content-Type')}")
            self.open = True
            self.connections += 1
        self.events += self.parser.feed(chunk)
        self.last_event_id = self.parser.last_event_id
        self.retry_ms = self.parser.retry_ms or self.retry_ms


class EventSourcePool(Pool[EventSource]):
    """`count` subscribers that reconnect; `open` counts the streams that are open just now."""

    def __init__(self, port: int, count: int, path: str = "/subscribe", *, cookie: str = "") -> None:
        super().__init__(port, f"the reader of {count} subscribers")
        self.all = [EventSource() for _ in range(count)]
        self.open = 0
        self._path, self._cookie = path, cookie
        self._new = list(reversed(self.all))
        self._due: list[tuple[float, int, EventSource]] = []  # when, a tie-breaker, and which
        self._tie = itertools.count()
        self._under_way = 0  # connections that are no open stream yet

    def wait_until_all(self, have: Callable[[EventSource], bool], timeout_s: float, what: str) -> None:
        """Returns once each subscriber satisfies `have`.

        Raises: TimeoutError with how many do not, and why some have given up.
        """
        late: list[EventSource] = []

        def holds() -> bool:
            late[:] = [source for source in self.all if not have(source)]
            return not late

        def state() -> str:
            given_up = sorted({source.given_up for source in self.all if source.given_up})
            return f"{what}: not so for {len(late)} of {len(self.all)}; {self.open} are open; given up: {given_up}"

        self._thread.wait_until(holds, timeout_s, state)

    def _open_due(self) -> None:
        for _ in range(min(len(self._new), AT_ONCE - self._under_way)):
            self._subscribe(self._new.pop())
        while self._due and self._due[0][0] <= time.monotonic():
            self._subscribe(heapq.heappop(self._due)[2])

    def _subscribe(self, source: EventSource) -> None:
        source.begin()
        self._under_way += 1
        last = [("Last-Event-ID", source.last_event_id)] if source.last_event_id else []
        self._connect(source, request_bytes(self._port, self._path, self._cookie, last))

    def _take(self, source: EventSource, chunk: bytes) -> None:
        was_open = source.open
        try:
            source.take(chunk)
        except ConnectionError as error:
            source.given_up = str(error)
            raise
        if source.open and not was_open:
            self.open += 1
            self._under_way -= 1

    def _closed(self, source: EventSource, error: OSError | None) -> None:
        self.open -= source.open
        self._under_way -= not source.open
        source.open = False
        if not source.given_up:
            heapq.heappush(self._due, (time.monotonic() + source.retry_ms / 1000, next(self._tie), source))
