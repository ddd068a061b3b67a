"""A client on a slow connection."""

import select
import socket
import struct
import threading
from types import TracebackType
from typing import Self

from offload_lab.process.deadlines import LOOPBACK, READ_BYTES, Deadline, receive_head
from offload_lab.timeouts import scaled

HEAD_END = b"\r\n\r\n"
RECEIVE_BUFFER_BYTES = 64 * 1024  # small and fixed, else the kernel takes megabytes on the reader's behalf


class SlowReader:
    """Requests `path` and reads `rate_mib_s` MiB a second until `hurry` is called.

    Below about 0.3 MiB/s a worker would close the connection: uWSGI's ``socket-timeout`` (4 s) runs until the socket is
    writable again, and that takes until a large part of the send buffer (4 MiB on Linux) is empty.
    `done` is set once the server has closed the connection; `received` counts bytes, headers included.
    """

    def __init__(self, port: int, path: str, rate_mib_s: float = 8.0, timeout_s: float = 30.0) -> None:
        self.received = 0
        self.head = b""
        self.error: str | None = None
        self.done = threading.Event()
        self._pause_s = READ_BYTES / (rate_mib_s * 2**20)
        self._timeout_s = timeout_s
        self._hurry = threading.Event()
        self._left = threading.Event()
        self._socket = socket.socket()
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER_BYTES)  # before connecting
        self._socket.settimeout(scaled(timeout_s))
        try:
            self._socket.connect((LOOPBACK, port))
            self._socket.sendall(
                f"GET {path} HTTP/1.1\r\nHost: {LOOPBACK}:{port}\r\nConnection: close\r\n\r\n".encode()
            )
        except BaseException:
            self._socket.close()
            raise
        self.port: int = self._socket.getsockname()[1]
        self._thread = threading.Thread(target=self._read, daemon=True)

    def is_answered(self) -> bool:
        """Whether a byte of an answer, or the end of the connection, waits to be read."""
        poll = select.poll()
        poll.register(self._socket, select.POLLIN)
        return bool(poll.poll(0))

    def close(self) -> None:
        """For a reader that was never entered."""
        self._socket.close()

    def wait_for_head(self) -> bytes:
        """Returns the status line and headers within `timeout_s` seconds; the transfer has begun then.

        Raises: OSError.
        """
        self.head, rest = receive_head(self._socket, Deadline(self._timeout_s), self.head)
        self.received = len(self.head) + len(HEAD_END) + len(rest)
        return self.head

    def _read(self) -> None:
        try:
            while chunk := self._socket.recv(READ_BYTES):
                self.received += len(chunk)
                self._hurry.wait(self._pause_s)
        except OSError as error:
            if not self._left.is_set():
                self.error = str(error) or type(error).__name__
        finally:
            self.done.set()

    @property
    def has_body(self) -> bool:
        """Whether a byte of the body has arrived."""
        return self.received > len(self.head) + len(HEAD_END)

    def hurry(self) -> None:
        """Read the rest as fast as it arrives."""
        self._hurry.set()

    def __enter__(self) -> Self:
        try:
            self.wait_for_head()
        except BaseException:
            self._socket.close()
            raise
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        if not self.done.is_set():  # closing resets: a server that waits for room in our window would not see a FIN
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._left.set()
        self._hurry.set()
        try:
            self._socket.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass  # the server closed it first
        self._thread.join()
        self._socket.close()
