"""A load process of event streams: opens them, notes how late each event is, and parses as little as it can."""

import os
import select
import socket
from collections import defaultdict
from collections.abc import Iterator
from typing import Any

from .loop import Loop, clock, connecting

DUE = b'"due": '  # in every event, see bench/site/feeds.py
READ_BYTES = 8192
CONNECT_AT_ONCE = 100  # before received bytes are read


class Streams(Loop):
    """All streams of one process. `late`: seconds by which each copy of an event was late, by the event's due time."""

    def __init__(self) -> None:
        super().__init__()
        self.late: dict[str, list[float]] = defaultdict(list)
        self.streams: dict[int, Stream] = {}
        self.failures: dict[str, int] = defaultdict(int)
        self.established = 0
        self.last = 0.0  # `clock()` at the last response
        self.waiting = 0
        self._requests: Iterator[bytes] = iter(())
        self._is_scheduled = False

    def do_open(self, port: int, source: str, requests: list[str], count: int, at_once: int) -> None:
        """Open `count` streams with `requests` in turn, at most `at_once` of them unanswered at any time."""
        encoded = [request.encode() for request in requests]
        self.established, self.last = 0, 0.0
        self.failures.clear()
        self._port, self._source, self._at_once = port, source, at_once
        self._requests = (encoded[number % len(encoded)] for number in range(count))
        self.open_more()

    def open_more(self) -> None:
        """Open a batch now and the rest once received bytes were read: a storm must not delay what is measured."""
        for _ in range(CONNECT_AT_ONCE):
            if self.waiting >= self._at_once or (request := next(self._requests, None)) is None:
                return
            self.waiting += 1
            try:
                connection = connecting(self._port, self._source)
            except OSError as error:
                self.fail(error.strerror or "cannot connect")
                continue
            stream = Stream(self, connection, request)
            self.streams[stream.fd] = stream
        if not self._is_scheduled:
            self._is_scheduled = True
            self.at(clock(), self._open_next_batch)

    def _open_next_batch(self) -> None:
        self._is_scheduled = False
        self.open_more()

    def fail(self, reason: str) -> None:
        self.waiting -= 1
        self.failures[reason] += 1

    def do_status(self) -> dict[str, Any]:
        """Counts of streams: answered, unanswered, failed (by reason), open; and when the last response came."""
        return {
            "established": self.established,
            "last": self.last,
            "waiting": self.waiting,
            "failures": self.failures,
            "open": len(self.streams) - self.waiting,
        }

    def do_take(self) -> dict[str, list[float]]:
        """`late` since the last call."""
        taken, self.late = self.late, defaultdict(list)
        return taken

    def do_give_up(self) -> None:
        """Open no more, and close the unanswered ones."""
        self._requests = iter(())
        for stream in [stream for stream in self.streams.values() if not stream.is_open]:
            stream.close()
        self.waiting = 0

    def do_cut(self) -> None:
        """Close all streams at once."""
        for stream in list(self.streams.values()):
            stream.close()


class Stream:
    __slots__ = ("fd", "is_open", "loop", "request", "rest")

    def __init__(self, loop: Streams, connection: socket.socket, request: bytes) -> None:
        self.loop, self.request, self.rest, self.is_open = loop, request, b"", False
        self.fd = connection.detach()
        loop.watch(self.fd, select.EPOLLOUT, self.write)

    def write(self, _: int) -> None:
        try:
            os.write(self.fd, self.request)
        except OSError as error:
            self.fail(error.strerror or "not connected")
            return
        self.loop.handlers[self.fd] = self.read_headers
        self.loop.epoll.modify(self.fd, select.EPOLLIN)

    def read_headers(self, _: int) -> None:
        self.rest += self.read()
        headers, ended, body = self.rest.partition(b"\r\n\r\n")
        if not ended:
            if self.fd not in self.loop.streams:
                self.loop.fail("closed before an answer")
                self.loop.open_more()
            return
        if headers[9:12] != b"200":
            self.fail(f"answered {headers[9:12].decode(errors='replace')}")
            return
        self.is_open = True
        self.loop.waiting -= 1
        self.loop.established += 1
        self.loop.last = clock()
        self.loop.handlers[self.fd] = self.read_events
        self.rest = b""
        self.note(body)
        self.loop.open_more()

    def read_events(self, _: int) -> None:
        self.note(self.read())

    def note(self, chunk: bytes) -> None:
        now, late = clock(), self.loop.late
        moments, self.rest = due_times(self.rest + chunk if self.rest else chunk)
        for due in moments:
            late[due].append(now - float(due))

    def read(self) -> bytes:
        try:
            chunk = os.read(self.fd, READ_BYTES)
        except BlockingIOError:
            return b""
        except OSError:
            chunk = b""
        if not chunk:
            self.close()
        return chunk

    def fail(self, reason: str) -> None:
        self.close()
        self.loop.fail(reason)
        self.loop.open_more()

    def close(self) -> None:
        del self.loop.streams[self.fd], self.loop.handlers[self.fd]
        os.close(self.fd)


def due_times(chunk: bytes) -> tuple[list[str], bytes]:
    """When the events in `chunk` were due, and the rest to put before the next chunk: an event may be cut anywhere."""
    found, end = [], 0
    while (start := chunk.find(DUE, end)) >= 0 and (comma := chunk.find(b",", start)) >= 0:
        found.append(chunk[start + len(DUE) : comma].decode())
        end = comma
    return found, b"" if chunk.endswith(b"\n") else chunk[end:]


if __name__ == "__main__":
    Streams().run()
