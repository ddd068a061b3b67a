"""Requests to /ping: one, or one every few milliseconds while the block lasts."""

import http.client
import math
import threading
import time
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from offload_lab.process.background import Background

from .http import fetch

SPARE_S = 30.0  # for a busy machine


@dataclass(frozen=True)
class Pong:
    """The answer to one ping. `pid` is the worker's that answered, 0 where the answer does not name it."""

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
    """One request to /ping. Times are seconds on `time.monotonic`'s clock; `answered` is None without an answer."""

    sent: float
    answered: float | None = None
    pid: int = 0
    error: str | None = None

    @property
    def wait_ms(self) -> float:
        """Infinite without an answer."""
        return math.inf if self.answered is None else 1000 * (self.answered - self.sent)


class Probes:
    """A new probe every `every_s` seconds, each in its own thread, until the block is left.

    The block's end waits for every answer, at most `timeout_s` seconds each.
    """

    def __init__(self, port: int, every_s: float, timeout_s: float = 30.0) -> None:
        self.all: list[Probe] = []
        self._port, self._every_s, self._timeout_s = port, every_s, timeout_s
        self._threads: list[threading.Thread] = []
        self._closed = threading.Event()
        self._source = Background("the source of probes", self._send, self._closed.set)

    def _send(self) -> None:
        while not self._closed.wait(self._every_s):
            probe = Probe(time.monotonic())
            self.all.append(probe)
            thread = threading.Thread(target=self._ping, args=(probe,), daemon=True)
            thread.start()
            self._threads.append(thread)

    def _ping(self, probe: Probe) -> None:
        try:
            pong = ping(self._port, self._timeout_s)
        except Exception as error:
            probe.error = str(error) or type(error).__name__
        else:
            probe.answered, probe.pid = time.monotonic(), pong.pid

    def __enter__(self) -> Self:
        self._source.__enter__()
        return self

    def close(self) -> None:
        """Send no more probes.

        Raises: the exception that ended the sending, if there is one.
        """
        self._source.end()

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self._source.__exit__(kind, value, trace)
        finally:
            for thread in self._threads:
                thread.join(self._timeout_s + SPARE_S)  # each has a deadline of its own
