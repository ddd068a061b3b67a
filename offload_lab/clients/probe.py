"""Visitors who only want /ping: one, or a new one every now and then."""

import http.client
import threading
import time
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from offload_lab.process.background import Background

from .http import fetch

ROOM_S = 30.0  # for a busy machine


@dataclass(frozen=True)
class Pong:
    """The answer to one ping. `pid` is the worker that gave it, 0 where it did not say."""

    status: int
    pid: int


def ping(port: int, timeout_s: float) -> Pong:
    """GET /ping on a connection of its own; the whole answer has `timeout_s`.

    Raises: OSError, TimeoutError included.
    """
    try:
        answer = fetch(port, "/ping", timeout_s=timeout_s)
        return Pong(answer.status, int(answer.headers.get("X-Worker-Pid", 0)))
    except (http.client.HTTPException, ValueError) as error:
        raise ConnectionError(f"no HTTP answer to /ping: {error!r}") from error


@dataclass
class Probe:
    """One visitor who only wants /ping, and how long that took. Times are seconds on `time.monotonic`'s clock."""

    sent: float
    answered: float | None = None
    pid: int = 0
    error: str | None = None


class Probes:
    """Somebody new at the counter every `every_s`, each in a thread of their own, until the block is left.

    Leaving waits for every answer, at most `timeout_s` each.
    """

    def __init__(self, port: int, every_s: float, timeout_s: float = 30.0) -> None:
        self.all: list[Probe] = []
        self._port, self._every_s, self._timeout_s = port, every_s, timeout_s
        self._threads: list[threading.Thread] = []
        self._closed = threading.Event()
        self._source = Background("the source of bystanders", self._arrive, self._closed.set)

    def _arrive(self) -> None:
        while not self._closed.wait(self._every_s):
            one = Probe(time.monotonic())
            self.all.append(one)
            thread = threading.Thread(target=self._ask, args=(one,), daemon=True)
            thread.start()
            self._threads.append(thread)

    def _ask(self, one: Probe) -> None:
        try:
            pong = ping(self._port, self._timeout_s)
        except Exception as error:
            one.error = str(error) or type(error).__name__
        else:
            one.answered, one.pid = time.monotonic(), pong.pid

    def __enter__(self) -> Self:
        self._source.__enter__()
        return self

    def close(self) -> None:
        """Nobody new from now on.

        Raises: what kept bystanders from being sent, if anything did.
        """
        self._source.end()

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self._source.__exit__(kind, value, trace)
        finally:
            for thread in self._threads:
                thread.join(self._timeout_s + ROOM_S)  # each has a deadline of its own
