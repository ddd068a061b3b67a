"""Thousands of event streams, held by one thread."""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from .event_stream import EventStreamParser
from .pool import Pool
from .sse import Head, request_bytes

CONNECT_AT_ONCE = 50  # new connections at one wake-up


@dataclass
class Stream:
    """One stream of a pool. `status` is 0 until the server answers; `error` is the reason of a connection that failed.

    `port` is the client's end of the connection, 0 before there is one.
    """

    status: int = 0
    events: int = 0
    closed: bool = False
    error: str = ""
    port: int = 0
    parser: EventStreamParser = field(default_factory=EventStreamParser)
    raw: bytes = b""  # the response headers, while they are incomplete


class EventStreamPool(Pool[Stream]):
    """`count` subscribers that do not reconnect. They connect `at_once` at a time: each answer makes room for the next.

    `open` counts the streams that were answered with 200 and are not closed.
    """

    def __init__(
        self,
        port: int,
        count: int,
        path: str = "/subscribe",
        *,
        cookie: str = "",
        headers: Mapping[str, str] | None = None,
        at_once: int = 50,
    ) -> None:
        super().__init__(port, f"the reader of {count} streams")
        self.all: list[Stream] = []
        self.open = 0
        self._answered = self._ended = self._ended_unanswered = 0
        self._had: Counter[int] = Counter()  # how many streams had so many events, or more
        self._ended_with: Counter[int] = Counter()  # how many ended with so many events
        self._errors: Counter[str] = Counter()
        self._count, self._at_once = count, at_once
        self._request = request_bytes(port, path, cookie, (headers or {}).items())

    @property
    def first_port(self) -> int | None:
        """The client's end of the first stream's connection; None before there is one."""
        return (self.all[0].port or None) if self.all else None

    def wait_for_first(self, timeout_s: float) -> None:
        """Returns once a subscriber is answered.

        Raises: TimeoutError; ConnectionError once none can be.
        """
        self._wait(
            lambda: self._answered > 0,
            lambda: self._ended == self._count,
            timeout_s,
            lambda: f"none of {self._count} streams was answered",
        )

    def wait_for_events(self, each: int, timeout_s: float) -> None:
        """Returns once every subscriber has had `each` events.

        Raises: TimeoutError; ConnectionError as soon as a stream has ended with fewer. Both count the streams, and say
            why some ended.
        """
        self._wait(
            lambda: self._had[each] == self._count,
            lambda: any(events < each for events in list(self._ended_with)),
            timeout_s,
            lambda: f"{self._count - self._had[each]} of {self._count} streams had fewer than {each} events",
        )

    def _wait(
        self, holds: Callable[[], bool], in_vain: Callable[[], bool], timeout_s: float, describe: Callable[[], str]
    ) -> None:
        def state() -> str:
            why = "".join(f"; {count} ended: {error}" for error, count in self._errors.most_common(3))
            return f"{describe()} within {timeout_s:g} s; {self.open} are open, {self._ended} ended{why}"

        self._thread.wait_until(lambda: holds() or in_vain(), timeout_s, state)
        if not holds():
            raise ConnectionError(state())

    def _open_due(self) -> None:
        waiting = len(self.all) - self._answered - self._ended_unanswered
        for _ in range(min(self._count - len(self.all), self._at_once - waiting, CONNECT_AT_ONCE)):
            self.all.append(stream := Stream())
            if connection := self._connect(stream, self._request):
                stream.port = connection.getsockname()[1]

    def _take(self, stream: Stream, chunk: bytes) -> None:
        """Raises: ConnectionError where it is no HTTP answer."""
        if not stream.status:
            stream.raw += chunk
            head, ended, chunk = stream.raw.partition(b"\r\n\r\n")
            if not ended:
                return
            stream.status, stream.raw = Head.parse(head).status, b""
            self._answered += 1
            self.open += stream.status == 200
        for _ in stream.parser.feed(chunk):
            stream.events += 1
            self._had[stream.events] += 1

    def _closed(self, stream: Stream, error: OSError | None) -> None:
        stream.closed = True
        if error:
            stream.error = error.strerror or str(error)
            self._errors[stream.error] += 1
        self.open -= stream.status == 200
        self._ended_unanswered += not stream.status
        self._ended_with[stream.events] += 1
        self._ended += 1  # last: a thread that sees it sees the rest too
