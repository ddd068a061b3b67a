"""Readers of server-sent events: one stream, or thousands in one thread."""

import selectors
import socket
import threading
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

from .event_stream import Event, EventStreamParser

__all__ = ["Event", "EventStreamParser", "Head", "SseClient", "Stream", "Streams", "request_bytes"]

LOOPBACK = "127.0.0.1"
READ_BYTES = 64 * 1024


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
    Raises OSError where the connection fails, TimeoutError where one read takes longer than `timeout_s`.
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
        self._request, self._socket = request, connection
        self._handed_out = 0

    @property
    def address(self) -> tuple[str, int]:
        """Our end of the connection, as the server's side of the kernel lists it."""
        host, port = self._socket.getsockname()
        return host, port

    def next(self) -> Event:
        """The next event. Raises ConnectionError once the server has closed the stream."""
        while self._handed_out == len(self.events):
            if not self.read():
                raise ConnectionError(f"the stream ended after {len(self.events)} events")
        self._handed_out += 1
        return self.events[self._handed_out - 1]

    def read(self) -> bytes:
        """Whatever comes next, parsed as well; empty at the end of the stream."""
        chunk = self._socket.recv(READ_BYTES)
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
            raw = b""
            while b"\r\n\r\n" not in raw:
                chunk = self._socket.recv(READ_BYTES)
                if not chunk:
                    raise ConnectionError(f"the server closed the connection after {raw[:200]!r}")
                raw += chunk
            head, _, rest = raw.partition(b"\r\n\r\n")
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
    """One of many: `status` is 0 until the server has answered, `closed` says that it ended the stream."""

    status: int = 0
    events: int = 0
    closed: bool = False
    parser: EventStreamParser = field(default_factory=EventStreamParser)
    raw: bytes = b""  # the head, while it is incomplete


class Streams:
    """`count` subscribers at once, held by one thread until the block is left.

    They connect `at_once` at a time: the next one follows as soon as one is answered. Needs `count` file descriptors
    beside those in use; epoll has no limit of its own.
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
        self._port, self._count, self._at_once = port, count, at_once
        self._request = request_bytes(port, path, cookie, (headers or {}).items())
        self._selector = selectors.DefaultSelector()
        self._sockets: list[socket.socket] = []
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._hold, daemon=True)

    @property
    def open(self) -> int:
        """How many were answered with 200 and still stand."""
        return sum(stream.status == 200 and not stream.closed for stream in list(self.all))

    def wait_for_first(self, timeout_s: float) -> None:
        """Until one subscriber is answered. Raises TimeoutError."""
        deadline = time.monotonic() + timeout_s
        while not any(stream.status for stream in list(self.all)):
            if time.monotonic() > deadline:
                raise TimeoutError(f"none of {self._count} streams was answered within {timeout_s:g} s")
            time.sleep(0.01)

    @property
    def first_port(self) -> int | None:
        """Our end of the first stream's connection; None before it is made."""
        port: int | None = self._sockets[0].getsockname()[1] if self._sockets else None
        return port

    def wait_for_events(self, each: int, timeout_s: float) -> None:
        """Until every subscriber has had `each` events. Raises TimeoutError with the number that has not."""
        deadline = time.monotonic() + timeout_s
        while late := self._count - sum(stream.events >= each for stream in list(self.all)):
            if time.monotonic() > deadline or not self._thread.is_alive():
                raise TimeoutError(
                    f"{late} of {self._count} streams had fewer than {each} events; {self.open} are open"
                )
            time.sleep(0.02)

    def _hold(self) -> None:
        while not self._stop.is_set():
            waiting = sum(not stream.status and not stream.closed for stream in self.all)
            for _ in range(min(self._count - len(self.all), self._at_once - waiting)):
                self._connect()
            for key, _ in self._selector.select(timeout=0.05):
                assert isinstance(key.fileobj, socket.socket)
                self._read(key.fileobj, key.data)

    def _connect(self) -> None:
        stream = Stream()
        self.all.append(stream)
        try:
            connection = socket.create_connection((LOOPBACK, self._port), timeout=30)
            self._sockets.append(connection)
            connection.sendall(self._request)
        except OSError:
            stream.closed = True
            return
        connection.setblocking(False)
        self._selector.register(connection, selectors.EVENT_READ, stream)

    def _read(self, connection: socket.socket, stream: Stream) -> None:
        try:
            chunk = connection.recv(READ_BYTES)
        except OSError:
            chunk = b""
        if not chunk:
            stream.closed = True
            self._selector.unregister(connection)
            connection.close()
        elif stream.status:
            stream.events += len(stream.parser.feed(chunk))
        else:
            stream.raw += chunk
            head, ended, body = stream.raw.partition(b"\r\n\r\n")
            if ended:
                stream.status, stream.raw = Head.parse(head).status, b""
                stream.events += len(stream.parser.feed(body))

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join()
        for connection in self._sockets:
            connection.close()
        self._selector.close()
