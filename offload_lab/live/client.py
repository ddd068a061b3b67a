"""One client of the live view: what it asked for, and what it has had so far. No thread, no clock of its own."""

import errno
import os
import socket
import struct
from dataclasses import dataclass, field
from typing import Literal

from offload_lab.clients.sse import Head, request_bytes
from offload_lab.clients.websocket import PING, PONG, Frames, frame, upgrade_request
from offload_lab.process.deadlines import LOOPBACK, READ_BYTES

Kind = Literal["download", "stream", "websocket", "ping"]
LETTERS: dict[Kind, str] = {"download": "D", "stream": "S", "websocket": "W", "ping": "P"}
HEAD_END = b"\r\n\r\n"
RECEIVE_BUFFER_BYTES = 256 * 1024  # fixed, else the kernel takes megabytes on a slow client's behalf
LONGEST_HEAD = 64 * 1024


def request_of(kind: Kind, port: int, path: str, cookie: str) -> bytes:
    if kind == "websocket":
        return upgrade_request(port, path, {"Cookie": cookie or None})
    if kind == "stream":
        return request_bytes(port, path, cookie)
    return f"GET {path} HTTP/1.1\r\nHost: {LOOPBACK}:{port}\r\nConnection: close\r\n\r\n".encode()


@dataclass
class Client:
    """Times are seconds on `time.monotonic`'s clock. `status` is 0 until the response's headers have come; `port` is
    our end of the connection. `reading`: it takes what comes; `left`: it closed by itself. `ended`: when it was over.
    `missing`: bytes of the body that its Content-Length promises and that have not come.
    """

    number: int
    kind: Kind
    began: float
    unsent: bytes
    bystander: bool = False
    port: int = 0
    status: int = 0
    received: int = 0
    missing: int = 0
    reading: bool = True
    left: bool = False
    ended: float | None = None
    error: str = ""
    head: bytes = b""
    connection: socket.socket | None = None
    frames: Frames = field(default_factory=Frames)

    @property
    def name(self) -> str:
        return f"{LETTERS[self.kind]}{self.number}"

    @property
    def waits(self) -> bool:
        return not self.status and self.ended is None

    @property
    def lost(self) -> bool:
        """It had not left, and ended without all that it had asked for: cut off, not served (5xx) or not answered."""
        if self.ended is None or self.left:
            return False
        cut_off = self.status in (101, 200) and self.kind in ("stream", "websocket")
        return cut_off or self.missing > 0 or not self.status or self.status >= 500 or bool(self.error)

    def connect(self, port: int) -> None:
        """Raises: OSError."""
        self.connection = socket.socket()
        if self.kind == "download":
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER_BYTES)  # before connecting
        self.connection.setblocking(False)
        if (number := self.connection.connect_ex((LOOPBACK, port))) not in (0, errno.EINPROGRESS):
            raise OSError(number, os.strerror(number))
        self.port = self.connection.getsockname()[1]

    def send(self) -> None:
        """What is left of the request.

        Raises: OSError where it is not connected.
        """
        assert self.connection is not None
        self.unsent = self.unsent[self.connection.send(self.unsent) :]

    def receive(self, most: int = READ_BYTES) -> bool:
        """Take what is there; False once the server has closed.

        Raises: OSError, BlockingIOError where nothing is.
        """
        assert self.connection is not None
        chunk = self.connection.recv(most)
        open_still = bool(chunk)
        self.received += len(chunk)
        if not self.status:
            self.head += chunk
            if HEAD_END in self.head:
                head, _, chunk = self.head.partition(HEAD_END)
                parsed = Head.parse(head)
                self.status, self.head = parsed.status, b""
                self.missing = sum(int(length) for length in parsed.get("Content-Length") if length.isdecimal())
            elif len(self.head) > LONGEST_HEAD:
                raise ConnectionError("response headers without an end")
        if self.status:
            self.missing -= len(chunk)
        if self.kind == "websocket" and self.status == 101:
            for received in self.frames.feed(chunk):
                if received.opcode == PING:
                    self.connection.send(frame(PONG, received.payload))
        return open_still

    def close(self, now: float, error: str = "") -> None:
        if self.connection is not None:
            self.connection.close()
        self.connection, self.ended, self.error = None, now, error

    def leave(self, now: float) -> None:
        """Without a word. What was not read resets the connection; else the server has only a FIN that it does not
        look at."""
        self.left = True
        if self.connection is not None and self.kind == "download":
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close(now)
