"""Subscribers who come back: each does what a browser's EventSource does when its connection is lost.

It waits as long as the stream's last ``retry`` said, connects again, and names the last event that it has in
``Last-Event-ID``. An answer that is no event stream ends it for good. What it has, and in which order, others judge.
"""

import errno
import heapq
import itertools
import selectors
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

from offload_lab.process.background import Background

from .sse import LOOPBACK, READ_BYTES, Event, EventStreamParser, Head, request_bytes

RETRY_MS = 3000  # until a stream says otherwise; browsers have about that
AT_ONCE = 50  # first connections under way; later ones come when they come


@dataclass
class EventSource:
    """One of them. `connections` counts streams that were opened, `given_up` says why there will be no more."""

    events: list[Event] = field(default_factory=list)
    last_event_id: str = ""
    retry_ms: int = RETRY_MS
    connections: int = 0
    open: bool = False
    given_up: str = ""

    def begin(self) -> None:
        """A new stream. By the letter of the HTML standard its parser knows no id until the stream names one."""
        self.parser, self.head = EventStreamParser(), b""
        self.parser.last_event_id = self.last_event_id

    def take(self, chunk: bytes) -> None:
        """Raises: ConnectionError for an answer after which a browser would not come back."""
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


class EventSourcePool:
    """`count` of them at `port`, held by one thread until the block is left."""

    def __init__(self, port: int, count: int, path: str = "/subscribe", *, cookie: str = "") -> None:
        self.all = [EventSource() for _ in range(count)]
        self._port, self._path, self._cookie = port, path, cookie
        self._selector = selectors.DefaultSelector()
        self._due: list[tuple[float, int, EventSource]] = []  # who connects when; the number keeps equals apart
        self._tie = itertools.count()
        self._new = list(reversed(self.all))
        self._stop = threading.Event()
        self._under_way = 0  # connections that are no open stream yet
        self._thread = Background(f"the reader of {count} subscribers", self._hold, self._stop.set)
        self.open = 0  # how many streams are open just now

    def wait_until_all(self, have: Callable[[EventSource], bool], timeout_s: float, what: str) -> None:
        """Until each subscriber satisfies `have`.

        Raises: TimeoutError with how many do not, and who has given up.
        """
        late: list[EventSource] = []

        def holds() -> bool:
            late[:] = [one for one in self.all if not have(one)]
            return not late

        def say() -> str:
            given_up = sorted({one.given_up for one in self.all if one.given_up})
            return f"{what}: not so for {len(late)} of {len(self.all)}; {self.open} are open; given up: {given_up}"

        self._thread.wait_until(holds, timeout_s, say)

    def _hold(self) -> None:
        while not self._stop.is_set():
            for _ in range(min(len(self._new), AT_ONCE - self._under_way)):
                self._connect(self._new.pop())
            while self._due and self._due[0][0] <= time.monotonic():
                self._connect(heapq.heappop(self._due)[2])
            for key, _ in self._selector.select(timeout=0.02):
                assert isinstance(key.fileobj, socket.socket)
                self._go_on(key.fileobj, key.data, key.events)

    def _connect(self, one: EventSource) -> None:
        one.begin()
        self._under_way += 1
        connection = None
        try:
            connection = socket.socket()
            connection.setblocking(False)
            if connection.connect_ex((LOOPBACK, self._port)) not in (0, errno.EINPROGRESS):
                raise ConnectionError
            self._selector.register(connection, selectors.EVENT_WRITE, one)
        except OSError:  # no descriptor left, too
            self._leave(one, connection)

    def _go_on(self, connection: socket.socket, one: EventSource, waited_for: int) -> None:
        try:
            if waited_for == selectors.EVENT_WRITE:
                last = [("Last-Event-ID", one.last_event_id)] if one.last_event_id else []
                connection.send(request_bytes(self._port, self._path, self._cookie, last))  # raises if not connected
                self._selector.modify(connection, selectors.EVENT_READ, one)
                return
            if chunk := connection.recv(READ_BYTES):
                self._take(one, chunk)
                if not one.given_up:
                    return
        except BlockingIOError:
            return  # woken for nothing
        except OSError:
            pass
        self._leave(one, connection)

    def _take(self, one: EventSource, chunk: bytes) -> None:
        was_open = one.open
        try:
            one.take(chunk)
        except ConnectionError as error:
            one.given_up = str(error)
        if one.open and not was_open:
            self.open += 1
            self._under_way -= 1

    def _leave(self, one: EventSource, connection: socket.socket | None) -> None:
        """Its connection is no more; it comes back unless it has given up."""
        if connection is not None:
            if connection in self._selector.get_map():
                self._selector.unregister(connection)
            connection.close()
        self.open -= one.open
        self._under_way -= not one.open
        one.open = False
        if not one.given_up:
            heapq.heappush(self._due, (time.monotonic() + one.retry_ms / 1000, next(self._tie), one))

    def __enter__(self) -> Self:
        self._thread.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self._thread.__exit__(kind, value, trace)
        finally:
            for key in list(self._selector.get_map().values()):
                assert isinstance(key.fileobj, socket.socket)
                key.fileobj.close()
            self._selector.close()
