"""A connection whose answer may be anything, or nothing: every byte received, and what the bytes mean."""

import re
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Self

from offload_lab.clients.websocket import CLOSE, PING, PONG, Frame, Frames, frame
from offload_lab.process.deadlines import LOOPBACK, READ_BYTES, Deadline, readable
from offload_lab.timeouts import scaled

PATIENCE_S = 5.0  # for an answer that may never come
POLL_S = 0.25  # between two questions whether to go on waiting
STUCK_S = 1  # an offloaded request occupies a worker for less
STATUS = re.compile(rb"HTTP/1\.[01] (\d{3}[^\r\n]*)\r\n")
IN = "101 Switching Protocols"
END = b"\r\n\r\n"


@dataclass
class Received:
    """All bytes received on one connection, and whether the server has closed it."""

    raw: bytes = b""
    closed: bool = False

    @property
    def heads(self) -> list[str]:
        """The status lines without their version, wherever they stand; a correct answer has one."""
        return [status.decode("latin-1") for status in STATUS.findall(self.raw)]

    @property
    def body(self) -> bytes:
        """What follows the first response headers; all bytes where there are none."""
        return self.raw.partition(END)[2] if self.heads else self.raw

    @property
    def frames(self) -> list[Frame]:
        """The WebSocket frames; none where the handshake failed."""
        return Frames().feed(self.body) if self.heads == [IN] else []

    @property
    def code(self) -> int | None:
        """The status code of the server's Close frame."""
        return next((received.code for received in self.frames if received.opcode == CLOSE), None)


class RawClient(Received):
    """One connection that sends `request` as it is. No wait takes longer than PATIENCE_S, scaled.

    Raises: OSError where nothing listens at `port`.
    """

    def __init__(self, port: int, request: bytes) -> None:
        super().__init__()
        self.socket = socket.create_connection((LOOPBACK, port), timeout=scaled(PATIENCE_S))
        self.port: int = self.socket.getsockname()[1]
        self.socket.sendall(request)

    def read_until(self, enough: Callable[[], bool], hopeless: Callable[[], object] = lambda: False) -> bool:
        """Read until `enough` holds, the server closes or waiting is `hopeless`. Returns whether it was enough."""
        deadline = Deadline(PATIENCE_S)
        self.socket.settimeout(POLL_S)
        while not (enough() or self.closed) and deadline.left():
            try:
                self.take()
            except TimeoutError:
                if hopeless():
                    break
        return enough()

    def read_for(self, seconds: float) -> bytes:
        """Read until the server closes, at most for `seconds`: a measurement's own, so not scaled. Returns `raw`."""
        ends = time.monotonic() + seconds
        while not self.closed and (left := ends - time.monotonic()) > 0:
            if readable(self.socket, left):
                self.take()
        return self.raw

    def read_available(self) -> None:
        """Read what has arrived by now."""
        while not self.closed and readable(self.socket, 0):
            self.take()

    def take(self) -> None:
        """Read once.

        Raises: TimeoutError where nothing arrives.
        """
        try:
            chunk = self.socket.recv(READ_BYTES)
        except ConnectionError:
            chunk = b""
        self.raw, self.closed = self.raw + chunk, not chunk

    def send(self, *frames: bytes) -> None:
        self.socket.settimeout(scaled(PATIENCE_S))
        try:
            self.socket.sendall(b"".join(frames))
        except OSError:
            self.closed = True

    def send_and_wait(self, *frames: bytes) -> None:
        """Send frames and a ping after them. Returns once the ping is answered: the server has read the frames."""
        known = self.pongs
        self.send(*frames, frame(PING))
        self.read_until(lambda: self.code is not None or self.pongs > known)

    @property
    def pongs(self) -> int:
        return sum(received.opcode == PONG for received in self.frames)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()
