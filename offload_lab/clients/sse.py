"""Readers of server-sent events: one stream, or thousands in one thread."""

import errno
import os
import selectors
import socket
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

from offload_lab.process.background import Background
from offload_lab.process.deadlines import LOOPBACK, READ_BYTES, Deadline, receive, receive_head

from .event_stream import Event, EventStreamParser

__all__ = [
    "LOOPBACK",
    "READ_BYTES",
    "Event",
    "EventStreamParser",
    "EventStreamPool",
    "Head",
    "SseClient",
    "Stream",
    "request_bytes",
]

CONNECT_AT_ONCE = 50  # new connections between two looks at those that are open


@dataclass
class Head:
    """The status line and the header lines, in order and with their spelling, as they came."""

    status: int
    version: str
    headers: list[tuple[str, str]]

    @classmethod
    def parse(cls, raw: bytes) -> Self:
        first, *lines = raw.decode("latin-1").split("\r\n")
        version, _, rest = first.partition(" ")
        if not version.startswith("HTTP/") or not rest[:3].isdigit():
            raise ConnectionError(f"no HTTP answer but {raw[:200]!r}")
        return cls(int(rest[:3]), version, [(n, v.strip()) for n, _, v in (line.partition(":") for line in lines)])

    def get(self, name: str) -> list[str]:
        """The values of all headers called `name`."""
        return [value for key, value in self.headers if key.lower() == name.lower()]


def request_bytes(port: int, path: str, cookie: str = "", headers: Iterable[tuple[str, str]] = ()) -> bytes:
    """A GET as a browser's EventSource sends it; `headers` may be malformed, they are sent as they are."""
    lines = [("Host", f"{LOOPBACK}:{port}"), ("Accept", "text/event-stream"), ("Cache-Control", "no-cache")]
    lines += [("Cookie", cookie)] * bool(cookie) + list(headers)
    return "".join([f"GET {path} HTTP/1.1\r\n", *(f"{n}: {v}\r\n" for n, v in lines), "\r\n"]).encode("latin-1")


class SseClient:
    """One subscriber: connected and answered inside the ``with`` block, gone after it.

    `head` is what the server said, `body` every byte since, `events` what the parser made of them so far.

    Raises: OSError where the connection fails, TimeoutError where the headers, the next event or one read take longer
        than `timeout_s`.
    """

    def __init__(
        self,
        port: int,
        path: str = "/subscribe",
        *,
        cookie: str = "",
        headers: Iterable[tuple[str, str]] = (),
        timeout_s: float = 30.0,
    ) -> None:
        request = request_bytes(port, path, cookie, headers)
        self._begin(socket.create_connection((LOOPBACK, port), timeout_s), request)

    def _begin(self, connection: socket.socket, request: bytes) -> None:
        self.body = b""
        self.events: list[Event] = []
        self.parser = EventStreamParser()
        self._request, self._socket, self._timeout_s = request, connection, connection.gettimeout() or 0.0
        self._handed_out = 0

    @property
    def address(self) -> tuple[str, int]:
        """Our end of the connection, as the server's side of the kernel lists it."""
        host, port = self._socket.getsockname()
        return host, port

    def next(self) -> Event:
        """The next event.

        Raises: ConnectionError once the server has closed the stream.
        """
        deadline = Deadline(self._timeout_s)
        while self._handed_out == len(self.events):
            if not self._read(deadline, f"event {self._handed_out + 1}"):
                raise ConnectionError(f"the stream ended after {len(self.events)} events")
        self._handed_out += 1
        return self.events[self._handed_out - 1]

    def read(self) -> bytes:
        """Whatever comes next, parsed as well; empty at the end of the stream."""
        return self._read(Deadline(self._timeout_s), "the stream's next bytes")

    def _read(self, deadline: Deadline, what: str) -> bytes:
        chunk = receive(self._socket, deadline, what)
        self._take(chunk)
        return chunk

    def read_all(self) -> bytes:
        """The body to its end, for answers that have one."""
        while self.read():
            pass
        return self.body

    def close(self) -> None:
        """Leave; the end of the ``with`` block does it too."""
        self._socket.close()

    def _take(self, chunk: bytes) -> None:
        self.body += chunk
        self.events += self.parser.feed(chunk)

    def __enter__(self) -> Self:
        try:
            self._socket.sendall(self._request)
            head, rest = receive_head(self._socket, Deadline(self._timeout_s))
            self.head = Head.parse(head)
            self._take(rest)
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


@dataclass
class Stream:
    """One of many: `status` is 0 until the server has answered, `closed` says that the connection has ended, `error`
    why, if the server did not just end it. `port` is the client's end, 0 before it is made."""

    status: int = 0
    events: int = 0
    closed: bool = False
    error: str = ""
    port: int = 0
    parser: EventStreamParser = field(default_factory=EventStreamParser)
    raw: bytes = b""  # the head, while it is incomplete
    unsent: bytes = b""  # of the request


class EventStreamPool:
    """`count` subscribers at once, held by one thread until the block is left.

    They connect `at_once` at a time: the next one follows as soon as one is answered. Connecting never blocks the
    thread, and what it does at each wake-up does not grow with `count`. Needs `count` file descriptors beside those in
    use; epoll has no limit of its own.
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
        self.all: list[Stream] = []
        self.open = 0  # how many were answered with 200 and still stand
        self._answered = self._ended = self._ended_unanswered = 0
        self._had: Counter[int] = Counter()  # how many streams had so many events, or more
        self._ended_with: Counter[int] = Counter()  # how many ended with so many events
        self._errors: Counter[str] = Counter()
        self._port, self._count, self._at_once = port, count, at_once
        self._request = request_bytes(port, path, cookie, (headers or {}).items())
        self._selector = selectors.DefaultSelector()
        self._stop = threading.Event()
        self._thread = Background(f"the reader of {count} streams", self._hold, self._stop.set)

    def wait_for_first(self, timeout_s: float) -> None:
        """Until one subscriber is answered.

        Raises: TimeoutError; ConnectionError once none can be.
        """
        self._wait(
            lambda: self._answered > 0,
            lambda: self._ended == self._count,
            timeout_s,
            lambda: f"none of {self._count} streams was answered",
        )

    @property
    def first_port(self) -> int | None:
        """Our end of the first stream's connection; None before it is made."""
        return (self.all[0].port or None) if self.all else None

    def wait_for_events(self, each: int, timeout_s: float) -> None:
        """Until every subscriber has had `each` events. Both say why streams ended.

        Raises: TimeoutError with the number that has not, and ConnectionError as soon as one of them has ended.
        """
        self._wait(
            lambda: self._had[each] == self._count,
            lambda: any(events < each for events in list(self._ended_with)),
            timeout_s,
            lambda: f"{self._count - self._had[each]} of {self._count} streams had fewer than {each} events",
        )

    def _wait(
        self, holds: Callable[[], bool], in_vain: Callable[[], bool], timeout_s: float, say: Callable[[], str]
    ) -> None:
        def said() -> str:
            why = "".join(f"; {count} ended: {error}" for error, count in self._errors.most_common(3))
            return f"{say()} within {timeout_s:g} s; {self.open} are open, {self._ended} ended{why}"

        self._thread.wait_until(lambda: holds() or in_vain(), timeout_s, said)
        if not holds():
            raise ConnectionError(said())

    # --- in the thread

    def _hold(self) -> None:
        while not self._stop.is_set():
            waiting = len(self.all) - self._answered - self._ended_unanswered
            for _ in range(min(self._count - len(self.all), self._at_once - waiting, CONNECT_AT_ONCE)):
                self._connect()
            for key, _ in self._selector.select(timeout=0.05):
                assert isinstance(key.fileobj, socket.socket)
                self._go_on(key.fileobj, key.data, key.events)

    def _connect(self) -> None:
        stream = Stream(unsent=self._request)
        self.all.append(stream)
        connection = None
        try:
            connection = socket.socket()
            connection.setblocking(False)
            if (number := connection.connect_ex((LOOPBACK, self._port))) not in (0, errno.EINPROGRESS):
                raise OSError(number, os.strerror(number))
            stream.port = connection.getsockname()[1]
            self._selector.register(connection, selectors.EVENT_WRITE, stream)
        except OSError as error:
            self._end(stream, connection, error)

    def _go_on(self, connection: socket.socket, stream: Stream, waited_for: int) -> None:
        try:
            if waited_for == selectors.EVENT_WRITE:
                stream.unsent = stream.unsent[connection.send(stream.unsent) :]  # raises if it is not connected
                if not stream.unsent:
                    self._selector.modify(connection, selectors.EVENT_READ, stream)
            elif chunk := connection.recv(READ_BYTES):
                self._take(stream, chunk)
            else:
                self._end(stream, connection)
        except BlockingIOError:
            pass  # woken for nothing
        except OSError as error:
            self._end(stream, connection, error)

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

    def _end(self, stream: Stream, connection: socket.socket | None, error: OSError | None = None) -> None:
        if connection is not None:
            if connection in self._selector.get_map():
                self._selector.unregister(connection)
            connection.close()
        stream.closed = True
        if error:
            stream.error = error.strerror or str(error)
            self._errors[stream.error] += 1
        self.open -= stream.status == 200
        self._ended_unanswered += not stream.status
        self._ended_with[stream.events] += 1
        self._ended += 1  # last: who sees it sees the rest too

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
