"""A crew of event streams: it opens them, notes how late each event is, and parses as little as it can."""

import os
import select
import socket
from collections import defaultdict
from collections.abc import Iterator
from typing import Any

from .loop import Loop, clock, connecting

DUE = b'"due": '  # in every event, see bench/site/feeds.py
READ_BYTES = 8192
CONNECT_AT_ONCE = 100  # between two looks at what has come


class Crew(Loop):
    """All streams of one process. `late`: by the moment at which an event was due, how late each copy came, in s."""

    def __init__(self) -> None:
        super().__init__()
        self.late: dict[str, list[float]] = defaultdict(list)
        self.streams: dict[int, Stream] = {}
        self.failures: dict[str, int] = defaultdict(int)
        self.established = 0
        self.last = 0.0  # when the last of them was answered
        self.waiting = 0
        self._left: Iterator[bytes] = iter(())
        self._more_is_due = False

    def do_open(self, port: int, source: str, requests: list[str], count: int, at_once: int) -> None:
        """Open `count` streams with `requests` in turn, and have `at_once` of them unanswered at most."""
        words = [request.encode() for request in requests]
        self.established, self.last = 0, 0.0
        self.failures.clear()
        self._port, self._source, self._at_once = port, source, at_once
        self._left = (words[number % len(words)] for number in range(count))
        self.open_more()

    def open_more(self) -> None:
        """Some, and the rest after what has come meanwhile was read: a storm must not delay what is measured."""
        for _ in range(CONNECT_AT_ONCE):
            if self.waiting >= self._at_once or (request := next(self._left, None)) is None:
                return
            self.waiting += 1
            try:
                connection = connecting(self._port, self._source)
            except OSError as error:
                self.failed(error.strerror or "cannot connect")
                continue
            stream = Stream(self, connection, request)
            self.streams[stream.fd] = stream
        if not self._more_is_due:
            self._more_is_due = True
            self.at(clock(), self._open_the_rest)

    def _open_the_rest(self) -> None:
        self._more_is_due = False
        self.open_more()

    def failed(self, why: str) -> None:
        self.waiting -= 1
        self.failures[why] += 1

    def do_status(self) -> dict[str, Any]:
        """How many were answered and when the last one was, how many not yet, how many in vain, how many are open."""
        return {
            "established": self.established,
            "last": self.last,
            "waiting": self.waiting,
            "failures": self.failures,
            "open": len(self.streams) - self.waiting,
        }

    def do_take(self) -> dict[str, list[float]]:
        """What was noted since the last time."""
        taken, self.late = self.late, defaultdict(list)
        return taken

    def do_give_up(self) -> None:
        """Nobody else comes, and who has not been answered leaves."""
        self._left = iter(())
        for stream in [one for one in self.streams.values() if not one.open]:
            stream.leave()
        self.waiting = 0

    def do_cut(self) -> None:
        """Everybody leaves at once."""
        for stream in list(self.streams.values()):
            stream.leave()


class Stream:
    __slots__ = ("crew", "fd", "open", "request", "rest")

    def __init__(self, crew: Crew, connection: socket.socket, request: bytes) -> None:
        self.crew, self.request, self.rest, self.open = crew, request, b"", False
        self.fd = connection.detach()
        crew.watch(self.fd, select.EPOLLOUT, self.ask)

    def ask(self, _: int) -> None:
        try:
            os.write(self.fd, self.request)
        except OSError as error:
            self.in_vain(error.strerror or "not connected")
            return
        self.crew.handlers[self.fd] = self.read_head
        self.crew.epoll.modify(self.fd, select.EPOLLIN)

    def read_head(self, _: int) -> None:
        self.rest += self.read()
        head, ended, body = self.rest.partition(b"\r\n\r\n")
        if not ended:
            if self.fd not in self.crew.streams:
                self.crew.failed("closed before an answer")
                self.crew.open_more()
            return
        if head[9:12] != b"200":
            self.in_vain(f"answered {head[9:12].decode(errors='replace')}")
            return
        self.open = True
        self.crew.waiting -= 1
        self.crew.established += 1
        self.crew.last = clock()
        self.crew.handlers[self.fd] = self.read_events
        self.rest = b""
        self.note(body)
        self.crew.open_more()

    def read_events(self, _: int) -> None:
        self.note(self.read())

    def note(self, chunk: bytes) -> None:
        now, late = clock(), self.crew.late
        moments, self.rest = dues(self.rest + chunk if self.rest else chunk)
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
            self.leave()
        return chunk

    def in_vain(self, why: str) -> None:
        self.leave()
        self.crew.failed(why)
        self.crew.open_more()

    def leave(self) -> None:
        del self.crew.streams[self.fd], self.crew.handlers[self.fd]
        os.close(self.fd)


def dues(chunk: bytes) -> tuple[list[str], bytes]:
    """When the events in `chunk` were due, and what belongs before the next chunk: an event may be cut anywhere."""
    found, end = [], 0
    while (start := chunk.find(DUE, end)) >= 0 and (comma := chunk.find(b",", start)) >= 0:
        found.append(chunk[start + len(DUE) : comma].decode())
        end = comma
    return found, b"" if chunk.endswith(b"\n") else chunk[end:]


if __name__ == "__main__":
    Crew().run()
