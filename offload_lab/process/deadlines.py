"""One deadline for a whole exchange: a server that sends single bytes cannot hold a client for ever."""

import select
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, Any

from offload_lab.timeouts import scaled

LOOPBACK = "127.0.0.1"
READ_BYTES = 64 * 1024
TINY_S = 1e-6  # a timeout of 0 would mean something else: do not block


class Deadline:
    """A monotonic deadline, `seconds` (scaled) from now; one per operation, passed down."""

    def __init__(self, seconds: float) -> None:
        self.seconds = scaled(seconds)
        self._ends = time.monotonic() + self.seconds

    def left(self) -> float:
        """Seconds left, never below zero."""
        return max(0.0, self._ends - time.monotonic())


def readable(source: IO[bytes] | socket.socket, within_s: float) -> bool:
    """Whether a read would not block; true at the end too. poll(2), as select(2) has no descriptor above 1023."""
    poll = select.poll()
    poll.register(source, select.POLLIN)
    return bool(poll.poll(1000 * within_s))


def receive(connection: socket.socket, deadline: Deadline, what: str) -> bytes:
    """The next bytes; empty at the end.

    Raises: TimeoutError naming `what` at the deadline, else another OSError.
    """
    if not readable(connection, deadline.left()):
        raise TimeoutError(f"{what}: timed out after {deadline.seconds:g} s")
    return connection.recv(READ_BYTES)


def receive_head(connection: socket.socket, deadline: Deadline, raw: bytes = b"") -> tuple[bytes, bytes]:
    """The status line and headers up to the blank line, and the bytes received after it; `raw` was received before.

    Raises: TimeoutError, ConnectionError where the server closes before the blank line.
    """
    while b"\r\n\r\n" not in raw:
        chunk = receive(connection, deadline, "the response headers")
        if not chunk:
            raise ConnectionError(f"the server closed the connection after {raw[:200]!r}")
        raw += chunk
    head, _, rest = raw.partition(b"\r\n\r\n")
    return head, rest


def receive_all(connection: socket.socket, deadline: Deadline, what: str) -> bytes:
    """All bytes until the server closes."""
    return b"".join(iter(lambda: receive(connection, deadline, what), b""))


class DeadlineSocket(socket.socket):
    """A connection to `port` for http.client, which has only a timeout for each read."""

    def __init__(self, port: int, timeout_s: float) -> None:
        super().__init__()
        self._deadline = Deadline(timeout_s)
        try:
            self.settimeout(self._deadline.seconds)
            self.connect((LOOPBACK, port))
            self.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # headers and body are two writes
        except BaseException:
            self.close()
            raise

    @contextmanager
    def _in_time(self) -> Iterator[None]:
        try:
            self.settimeout(self._deadline.left() or TINY_S)
            yield
        except TimeoutError:
            raise TimeoutError(f"the whole answer: timed out after {self._deadline.seconds:g} s") from None

    def recv_into(self, *arguments: Any) -> int:
        with self._in_time():
            return super().recv_into(*arguments)

    def sendall(self, *arguments: Any) -> None:
        with self._in_time():
            super().sendall(*arguments)
