"""One subscriber to server-sent events."""

import socket
from collections.abc import Iterable
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from offload_lab.process.deadlines import LOOPBACK, READ_BYTES, Deadline, receive, receive_head

from .event_stream import Event, EventStreamParser

__all__ = [
    "LOOPBACK",
    "READ_BYTES",
    "Event",
    "EventStreamParser",
    "Head",
    "SseClient",
    "request_bytes",
]


@dataclass
class Head:
    """The status line and the headers, in the order and spelling of the server."""

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
    """One subscriber, connected and answered inside the ``with`` block.

    `head` has the response headers, `body` every byte after them, `events` the events in these so far.

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
        self.body = bytearray()  # bytes would be copied at each read
        self.events: list[Event] = []
        self.parser = EventStreamParser()
        self._request, self._socket, self._timeout_s = request, connection, connection.gettimeout() or 0.0
        self._handed_out = 0

    @property
    def address(self) -> tuple[str, int]:
        """The client's end of the connection."""
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
        """The next bytes, which are parsed too; empty at the end of the stream."""
        return self._read(Deadline(self._timeout_s), "the stream's next bytes")

    def _read(self, deadline: Deadline, what: str) -> bytes:
        chunk = receive(self._socket, deadline, what)
        self._take(chunk)
        return chunk

    def read_all(self) -> bytes:
        """The body, read to its end."""
        while self.read():
            pass
        return bytes(self.body)

    def close(self) -> None:
        """Disconnect; the end of the ``with`` block does it too."""
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
