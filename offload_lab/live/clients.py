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
        running = [one for one in self.all if one.ended is None]
        if self.probing and now >= self._next_probe:
            self._next_probe = now + PING_EVERY_S
            if sum(one.bystander for one in running) < MOST_BYSTANDERS:
                self._open("ping", now, bystander=True)
        for _ in range(min(len(self.later), MOST_WAITING - sum(one.waits and not one.bystander for one in running))):
            self._open(self.later.popleft(), now)
        if now >= self._next_tick:
            self._next_tick = now + TICK_S
            for one in running:
                if one.kind == "download" and one.reading and not one.unsent:
                    self._receive(one, round(RATE_BYTES_S * TICK_S))
        if len(self.all) > 2 * KEPT:
            self.all = [*(one for one in self.all[:-KEPT] if one.ended is None), *self.all[-KEPT:]]

    def _open(self, kind: Kind, now: float, bystander: bool = False) -> None:
        counted = "bystander" if bystander else kind
        self._numbers[counted] = self._numbers.get(counted, 0) + 1
        request = request_of(kind, self._port, self._paths[kind], self.cookie)
        one = Client(self._numbers[counted], kind, now, request, bystander, reading=self.reading or kind == "ping")
        self.all.append(one)
        try:
            one.connect(self._port)
        except OSError as error:
            self._close(one, error.strerror or str(error))
            return
        assert one.connection is not None
        self.by_port[one.port] = one
        self._selector.register(one.connection, selectors.EVENT_WRITE, one)

    def _go_on(self, one: Client, events: int) -> None:
        if not events & selectors.EVENT_WRITE:
            self._receive(one)
            return
        try:
            one.send()
        except OSError as error:
            self._close(one, error.strerror or str(error))
            return
        if not one.unsent:
            self._watch(one)

    def _watch(self, one: Client) -> None:
        """A download is read by the tick alone, at its rate."""
        assert one.connection is not None
        if one.connection in self._selector.get_map():
            self._selector.unregister(one.connection)
        if one.reading and one.kind != "download":
            self._selector.register(one.connection, READS, one)

    def _receive(self, one: Client, most: int = 65536) -> None:
        try:
            if not one.receive(most):
                self._close(one)
        except BlockingIOError:
            pass  # nothing has come
        except OSError as error:
            self._close(one, error.strerror or str(error))

    def _close(self, one: Client, error: str = "") -> None:
        self._forget(one)
        one.close(time.monotonic(), error)

    def _forget(self, one: Client) -> None:
        if one.connection is not None and one.connection in self._selector.get_map():
            self._selector.unregister(one.connection)

    def _leave(self) -> None:
        self.later.clear()
        for one in self.all:
            if one.ended is None and one.kind != "ping":
                self._forget(one)
                one.leave(time.monotonic())

    def _set_reading(self, reading: bool) -> None:
        self.reading = reading
        for one in self.all:
            if one.ended is None and one.kind != "ping":
                one.reading = reading
                if not one.unsent:
                    self._watch(one)

    def __enter__(self) -> Self:
        self._thread.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self._thread.__exit__(kind, value, trace)
        finally:
            for one in self.all:
                one.close(time.monotonic(), one.error)
            self._selector.close()
            self._wake.close()
            self._woken.close()
