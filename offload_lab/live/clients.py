"""The clients of one side in one thread: bystanders all the time, and what the buttons open."""

import queue
import selectors
import socket
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType
from typing import Self

from offload_lab.process.background import Background

from .client import Client, Kind, request_of

PING_EVERY_S = 0.5
MOST_BYSTANDERS = 12  # that wait at once: the listen queue has room for more, and must keep some
MOST_WAITING = 40  # clients without response headers at once; the others connect later
RATE_BYTES_S = 3 * 2**20  # of a slow download; below 0.3 MiB/s a worker cuts it off (docs/field-notes.md)
TICK_S = 0.05
KEPT = 4000  # clients that are over, whose names may still be asked for
READS = selectors.EVENT_READ


class Clients:
    """All clients at `port`. `open`, `leave`, `set_reading` may be called from any thread, and return at once."""

    def __init__(self, port: int, paths: dict[Kind, str], cookie: str = "") -> None:
        self.all: list[Client] = []
        self.by_port: dict[int, Client] = {}
        self.later: deque[Kind] = deque()  # to be opened once fewer wait
        self.cookie, self.reading = cookie, True
        self.probing = True  # a bystander every PING_EVERY_S
        self._port, self._paths = port, {**paths, "ping": "/ping"}
        self._numbers: dict[str, int] = {}
        self._next_probe = self._next_tick = 0.0
        self._stop = False
        self._selector = selectors.DefaultSelector()  # not select(): it ends at descriptor 1023
        self._jobs: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._wake, self._woken = socket.socketpair()
        self._wake.setblocking(False)
        self._thread = Background("the live view's clients", self._run, self._ask_to_end)

    def open(self, kind: Kind, count: int = 1) -> None:
        self._do(lambda: self.later.extend([kind] * count))

    def leave(self) -> None:
        """All that stay close without a word."""
        self._do(self._leave)

    def set_reading(self, reading: bool) -> None:
        self._do(lambda: self._set_reading(reading))

    def check(self) -> None:
        """Raises: what the thread's work raised, if it did."""
        self._thread.check()

    def _do(self, job: Callable[[], None]) -> None:
        self._jobs.put(job)
        with suppress(BlockingIOError):  # it is awake already
            self._wake.send(b"x")

    def _ask_to_end(self) -> None:
        self._do(lambda: setattr(self, "_stop", True))

    # --- in the thread

    def _run(self) -> None:
        self._selector.register(self._woken, READS)
        while not self._stop:
            for key, events in self._selector.select(timeout=TICK_S):
                if key.fileobj is self._woken:
                    self._woken.recv(4096)
                else:
                    self._go_on(key.data, events)
            while not self._jobs.empty():
                self._jobs.get()()
            self._tick(time.monotonic())

    def _tick(self, now: float) -> None:
        running = [client for client in self.all if client.ended is None]
        if self.probing and now >= self._next_probe:
            self._next_probe = now + PING_EVERY_S
            if sum(client.bystander for client in running) < MOST_BYSTANDERS:
                self._open("ping", now, bystander=True)
        for _ in range(
            min(len(self.later), MOST_WAITING - sum(client.waits and not client.bystander for client in running))
        ):
            self._open(self.later.popleft(), now)
        if now >= self._next_tick:
            self._next_tick = now + TICK_S
            for client in running:
                if client.kind == "download" and client.reading and not client.unsent:
                    self._receive(client, round(RATE_BYTES_S * TICK_S))
        if len(self.all) > 2 * KEPT:
            self.all = [*(client for client in self.all[:-KEPT] if client.ended is None), *self.all[-KEPT:]]

    def _open(self, kind: Kind, now: float, bystander: bool = False) -> None:
        counted = "bystander" if bystander else kind
        self._numbers[counted] = self._numbers.get(counted, 0) + 1
        request = request_of(kind, self._port, self._paths[kind], self.cookie)
        client = Client(self._numbers[counted], kind, now, request, bystander, reading=self.reading or kind == "ping")
        self.all.append(client)
        try:
            client.connect(self._port)
        except OSError as error:
            self._close(client, error.strerror or str(error))
            return
        assert client.connection is not None
        self.by_port[client.port] = client
        self._selector.register(client.connection, selectors.EVENT_WRITE, client)

    def _go_on(self, client: Client, events: int) -> None:
        if not events & selectors.EVENT_WRITE:
            self._receive(client)
            return
        try:
            client.send()
        except OSError as error:
            self._close(client, error.strerror or str(error))
            return
        if not client.unsent:
            self._watch(client)

    def _watch(self, client: Client) -> None:
        """A download is read by the tick alone, at its rate."""
        assert client.connection is not None
        if client.connection in self._selector.get_map():
            self._selector.unregister(client.connection)
        if client.reading and client.kind != "download":
            self._selector.register(client.connection, READS, client)

    def _receive(self, client: Client, most: int = 65536) -> None:
        try:
            if not client.receive(most):
                self._close(client)
        except BlockingIOError:
            pass  # nothing has come
        except OSError as error:
            self._close(client, error.strerror or str(error))

    def _close(self, client: Client, error: str = "") -> None:
        self._forget(client)
        client.close(time.monotonic(), error)

    def _forget(self, client: Client) -> None:
        if client.connection is not None and client.connection in self._selector.get_map():
            self._selector.unregister(client.connection)

    def _leave(self) -> None:
        self.later.clear()
        for client in self.all:
            if client.ended is None and client.kind != "ping":
                self._forget(client)
                client.leave(time.monotonic())

    def _set_reading(self, reading: bool) -> None:
        self.reading = reading
        for client in self.all:
            if client.ended is None and client.kind != "ping":
                client.reading = reading
                if not client.unsent:
                    self._watch(client)

    def __enter__(self) -> Self:
        self._thread.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self._thread.__exit__(kind, value, trace)
        finally:
            for client in self.all:
                client.close(time.monotonic(), client.error)
            self._selector.close()
            self._wake.close()
            self._woken.close()
