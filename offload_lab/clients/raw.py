"""Somebody at the front who may get anything, or nothing: every byte that came, and what it means."""

import re
import socket
from collections.abc import Callable
from dataclasses import dataclass
from typing import Self

from offload_lab.clients.websocket import CLOSE, PING, PONG, Frame, Frames, frame
from offload_lab.process.deadlines import LOOPBACK, Deadline, readable
from offload_lab.timeouts import scaled

PATIENCE_S = 5.0  # for an answer, by somebody who may never get one
LOOK_S = 0.25  # between two looks whether to go on waiting
STUCK_S = 1  # nobody who is handed over takes a worker for so long
STATUS = re.compile(rb"HTTP/1\.[01] (\d{3}[^\r\n]*)\r\n")
IN = "101 Switching Protocols"
END = b"\r\n\r\n"


@dataclass
class Received:
    """All that came on one connection, and whether the server closed it."""

    raw: bytes = b""
    closed: bool = False

    @property
    def heads(self) -> list[str]:
        """The status lines without their version, wherever they stand; a healthy answer has one."""
        return [status.decode("latin-1") for status in STATUS.findall(self.raw)]

    @property
    def body(self) -> bytes:
        """What follows the first head; all of it where there is none."""
        return self.raw.partition(END)[2] if self.heads else self.raw

    @property
    def frames(self) -> list[Frame]:
        """Of a WebSocket."""
        return Frames().feed(self.body) if self.heads == [IN] else []

    @property
    def code(self) -> int | None:
        """With which the board ended the visit."""
        return next((one.code for one in self.frames if one.opcode == CLOSE), None)


class RawClient(Received):
    """One connection to the front. Nothing here waits longer than PATIENCE_S.

    Raises: OSError where nobody listens.
    """

    def __init__(self, port: int, request: bytes) -> None:
        super().__init__()
        self.socket = socket.create_connection((LOOPBACK, port), timeout=scaled(PATIENCE_S))
        self.socket.sendall(request)

    def read_until(self, enough: Callable[[], bool], hopeless: Callable[[], object] = lambda: False) -> bool:
        """Read until it is `enough`, the server closes, or it is `hopeless` to wait on; whether it was enough."""
        deadline = Deadline(PATIENCE_S)
        self.socket.settimeout(LOOK_S)
        while not (enough() or self.closed) and deadline.left():
            try:
                self.take()
            except TimeoutError:
                if hopeless():
                    break
        return enough()

    def read_available(self) -> None:
        """Take what has arrived by now: all that a worker wrote, once it has answered somebody else."""
        while not self.closed and readable(self.socket, 0):
            self.take()

    def take(self) -> None:
        """Raises: TimeoutError where nothing comes."""
        try:
            chunk = self.socket.recv(65536)
        except ConnectionError:
            chunk = b""
        self.raw, self.closed = self.raw + chunk, not chunk

    def say(self, *frames: bytes) -> None:
        self.socket.settimeout(scaled(PATIENCE_S))
        try:
            self.socket.sendall(b"".join(frames))
        except OSError:
            self.closed = True

    def send_and_wait(self, *frames: bytes) -> None:
        """Until the board has read them, which it shows by answering a ping that was sent behind."""
        known = self.pongs
        self.say(*frames, frame(PING))
        self.read_until(lambda: self.code is not None or self.pongs > known)

    @property
    def pongs(self) -> int:
        return sum(one.opcode == PONG for one in self.frames)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()
