"""Many connections to one port, opened and read by one thread."""

import errno
import os
import selectors
import socket
import threading
from abc import ABC, abstractmethod
from dataclasses import dataclass
from types import TracebackType
from typing import Generic, Self, TypeVar

from offload_lab.process.background import Background
from offload_lab.process.deadlines import LOOPBACK, READ_BYTES

WAKE_UP_S = 0.02  # between two looks for connections that are due
ClientT = TypeVar("ClientT")


@dataclass
class Link(Generic[ClientT]):
    """What belongs to a connection: its client, and the rest of the request."""

    client: ClientT
    unsent: bytes = b""


class Pool(ABC, Generic[ClientT]):
    """Connections to `port` until the block is left, which closes them all.

    Connecting never blocks the thread, and what it does at each wake-up does not grow with the number of connections.
    Each needs a file descriptor; the selector has no limit of its own, as select(2) has.
    """

    def __init__(self, port: int, thread_name: str) -> None:
        self._port = port
        self._selector = selectors.DefaultSelector()
        self._stop = threading.Event()
        self._thread = Background(thread_name, self._hold, self._stop.set)

    # --- for subclasses; all of it runs in the thread

    def _open_due(self) -> None:
        """Open the connections whose time has come."""

    @abstractmethod
    def _take(self, client: ClientT, chunk: bytes) -> None:
        """Raises: OSError to close the connection."""

    @abstractmethod
    def _closed(self, client: ClientT, error: OSError | None) -> None:
        """The client has no connection any more; `error` is None where the server closed it in order."""

    def _connect(self, client: ClientT, request: bytes) -> socket.socket | None:
        """Begin to connect and send; None where that failed at once, after `_closed`."""
        connection = None
        try:
            connection = socket.socket()
            connection.setblocking(False)
            if (number := connection.connect_ex((LOOPBACK, self._port))) not in (0, errno.EINPROGRESS):
                raise OSError(number, os.strerror(number))
            self._selector.register(connection, selectors.EVENT_WRITE, Link(client, request))
        except OSError as error:  # no descriptor left, too
            if connection is not None:
                connection.close()
            self._closed(client, error)
            return None
        return connection

    # --- the thread

    def _hold(self) -> None:
        while not self._stop.is_set():
            self._open_due()
            for key, _ in self._selector.select(timeout=WAKE_UP_S):
                assert isinstance(key.fileobj, socket.socket)
                self._go_on(key.fileobj, key.data, key.events)

    def _go_on(self, connection: socket.socket, link: Link[ClientT], waited_for: int) -> None:
        try:
            if waited_for == selectors.EVENT_WRITE:
                link.unsent = link.unsent[connection.send(link.unsent) :]  # raises if it is not connected
                if not link.unsent:
                    self._selector.modify(connection, selectors.EVENT_READ, link)
            elif chunk := connection.recv(READ_BYTES):
                self._take(link.client, chunk)
            else:
                self._close(connection, link.client)
        except BlockingIOError:
            pass  # woken for nothing
        except OSError as error:
            self._close(connection, link.client, error)

    def _close(self, connection: socket.socket, client: ClientT, error: OSError | None = None) -> None:
        self._selector.unregister(connection)
        connection.close()
        self._closed(client, error)

    def __enter__(self) -> Self:
        self._thread.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self._thread.__exit__(kind, value, trace)
        finally:
            for key in list(self._selector.get_map().values()):
                assert isinstance(key.fileobj, socket.socket)
                key.fileobj.close()
            self._selector.close()
