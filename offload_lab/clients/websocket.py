"""WebSocket clients: one that sends any bytes, valid or not, and a pool that only listens.

`frame` and `Frames` know the wire format (RFC 6455, section 5) and no socket. Nothing here corrects what it sends: the
servers are tested with clients that break the protocol on purpose.
"""

import base64
import os
import selectors
import socket
import struct
from collections import Counter
from collections.abc import Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from offload_lab.process.deadlines import LOOPBACK, Deadline, receive, receive_head

from .pool import Link, Pool
from .sse import Head

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0x0, 0x1, 0x2, 0x8, 0x9, 0xA


@dataclass(frozen=True)
class Frame:
    """One frame from the server."""

    opcode: int
    payload: bytes
    final: bool = True

    @property
    def code(self) -> int:
        """A close frame's status code; 1005 where it has none (RFC 6455, section 7.1.5)."""
        return struct.unpack("!H", self.payload[:2])[0] if len(self.payload) >= 2 else 1005


class HandshakeError(ConnectionError):
    """The server answered the handshake, but not with 101."""

    def __init__(self, status: int, headers: dict[str, str], body: bytes) -> None:
        super().__init__(status, headers, body)
        self.status, self.headers, self.body = status, headers, body

    def __str__(self) -> str:
        return f"no WebSocket but {self.status}: {self.body[:200].decode(errors='replace').strip()!r}"


def frame(opcode: int, payload: bytes = b"", *, final: bool = True, reserved: int = 0, masked: bool = True) -> bytes:
    """One frame from a client. `reserved` holds the three reserved bits, 0 to 7."""
    first = bytes([final << 7 | reserved << 4 | opcode])
    mask_bit = masked << 7
    if len(payload) < 126:
        size = struct.pack("!B", mask_bit | len(payload))
    elif len(payload) < 2**16:
        size = struct.pack("!BH", mask_bit | 126, len(payload))
    else:
        size = struct.pack("!BQ", mask_bit | 127, len(payload))
    if not masked:
        return first + size + payload
    mask = os.urandom(4)
    stretched = int.from_bytes((mask * (len(payload) // 4 + 1))[: len(payload)])
    return first + size + mask + (int.from_bytes(payload) ^ stretched).to_bytes(len(payload))


def close_frame(code: int, reason: bytes = b"") -> bytes:
    return frame(CLOSE, struct.pack("!H", code) + reason)


class Frames:
    """Bytes from a server in, complete frames out; an incomplete frame is kept."""

    def __init__(self) -> None:
        self._bytes = bytearray()

    def feed(self, data: bytes) -> list[Frame]:
        self._bytes += data
        frames = []
        while (complete := self._next()) is not None:
            frames.append(complete)
        return frames

    def _next(self) -> Frame | None:
        if len(self._bytes) < 2:
            return None
        first, size = self._bytes[:2]  # a server's frames are never masked, so `size` has no high bit
        start = 2 + {126: 2, 127: 8}.get(size, 0)
        if len(self._bytes) < start:
            return None
        end = start + (int.from_bytes(self._bytes[2:start]) if size >= 126 else size)
        if len(self._bytes) < end:
            return None
        payload = bytes(self._bytes[start:end])
        del self._bytes[:end]
        return Frame(first & 0x0F, payload, bool(first & 0x80))


def upgrade_request(port: int, path: str, headers: Mapping[str, str | None]) -> bytes:
    """A browser's handshake request; `headers` add to it, replace, or remove what they set to None."""
    host = f"{LOOPBACK}:{port}"
    everything = {
        "Host": host,
        "Upgrade": "websocket",
        "Connection": "Upgrade",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": base64.b64encode(os.urandom(16)).decode(),
        "Origin": f"http://{host}",
        **headers,
    }
    lines = [f"{name}: {value}" for name, value in everything.items() if value is not None]
    return "\r\n".join([f"GET {path} HTTP/1.1", *lines, "", ""]).encode()


class WebSocketClient:
    """One connection, open once the object exists. `receive` answers no ping and no Close frame: the caller does.

    Raises: HandshakeError, TimeoutError or another OSError.
    """

    def __init__(
        self,
        port: int,
        path: str = "/ws",
        headers: Mapping[str, str | None] | None = None,
        *,
        timeout_s: float = 10.0,
        receive_buffer_bytes: int | None = None,
    ) -> None:
        self.socket = socket.socket()
        if receive_buffer_bytes:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer_bytes)  # before connecting
        self.socket.settimeout(timeout_s)
        self._timeout_s = timeout_s
        self._frames, self._ready = Frames(), list[Frame]()
        try:
            self.socket.connect((LOOPBACK, port))
            self.socket.sendall(upgrade_request(port, path, headers or {}))
            self._read_answer()
        except BaseException:
            self.socket.close()
            raise

    def _read_answer(self) -> None:
        deadline = Deadline(self._timeout_s)
        raw, rest = receive_head(self.socket, deadline)
        head = Head.parse(raw)
        self.headers = {name.lower(): value for name, value in head.headers}
        if head.status != 101:
            raise HandshakeError(head.status, self.headers, self._rest_of_body(rest, deadline))
        self._ready += self._frames.feed(rest)

    def _rest_of_body(self, body: bytes, deadline: Deadline) -> bytes:
        """The refusal's body: up to its Content-Length, else until the server closes or the deadline."""
        size = self.headers.get("content-length", "")
        with suppress(OSError):  # the refusal counts, also without the end of its body
            while not (size.isdecimal() and len(body) >= int(size)):
                if not (chunk := receive(self.socket, deadline, "the body of a refusal")):
                    break
                body += chunk
        return body

    def send(self, data: bytes) -> None:
        """Send bytes as they are: a frame, half a frame, or neither."""
        self.socket.sendall(data)

    def send_text(self, text: str) -> None:
        self.send(frame(TEXT, text.encode()))

    def receive(self) -> Frame | None:
        """The next frame; None once the server has closed the connection.

        Raises: TimeoutError.
        """
        deadline = Deadline(self.socket.gettimeout() or self._timeout_s)
        while not self._ready:
            try:
                data = receive(self.socket, deadline, "the next frame")
            except ConnectionError:
                return None  # the server closed before it had read all that was sent
            if not data:
                return None
            self._ready += self._frames.feed(data)
        return self._ready.pop(0)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.socket.close()


class WebSocketPool(Pool[WebSocketClient]):
    """`size` clients that listen and answer pings. Leaving the block closes their connections.

    `messages` counts text frames, `lost` the connections that ended, `losses` why they did.
    """

    def __init__(self, port: int, size: int, headers: Mapping[str, str | None], path: str = "/ws") -> None:
        super().__init__(port, f"the reader of {size} WebSockets")
        self.clients: list[WebSocketClient] = []
        self.messages = self.lost = 0
        self.losses: Counter[str] = Counter()
        self._size, self._headers, self._path = size, headers, path

    def wait_for(self, messages: int, timeout_s: float) -> None:
        """Returns once that many text frames have come, of all clients together.

        Raises: TimeoutError.
        """
        self._thread.wait_until(
            lambda: self.messages >= messages,
            timeout_s,
            lambda: f"{self.messages} of {messages} messages after {timeout_s:g} s; lost: {dict(self.losses) or 0}",
        )

    def _take(self, client: WebSocketClient, chunk: bytes) -> None:
        read_ahead, client._ready = client._ready, []
        for received in read_ahead + client._frames.feed(chunk):
            if received.opcode == TEXT:
                self.messages += 1
            elif received.opcode == PING:
                client.send(frame(PONG, received.payload))

    def _closed(self, client: WebSocketClient, error: OSError | None) -> None:
        self.losses[error.strerror or str(error) if error else "closed by the server"] += 1
        self.lost += 1

    def __enter__(self) -> Self:
        with ExitStack() as exits:
            exits.push(super().__exit__)
            super().__enter__()  # first: a client is read while the next ones connect
            for _ in range(self._size):
                self.clients.append(client := WebSocketClient(self._port, self._path, self._headers))
                self._selector.register(client.socket, selectors.EVENT_READ, Link(client))
            exits.pop_all()
        return self
