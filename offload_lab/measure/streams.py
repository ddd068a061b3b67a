"""Measurements for open event streams: who has which socket, what one visitor gets, when events come.

Each starts from a stage that is up, and gives plain data back.
"""

import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import psutil

from offload_lab.clients import ping
from offload_lab.clients.event_stream_pool import EventStreamPool
from offload_lab.clients.session import Session
from offload_lab.clients.sse import EventStreamParser, request_bytes
from offload_lab.inspect.threads import waiting_thread
from offload_lab.process.background import Background
from offload_lab.process.deadlines import LOOPBACK
from offload_lab.stages.stage import Stage

TEN = 10
POLL_S = 0.005
OPEN_WITHIN_S = 60.0


# --- who has which socket


@dataclass(frozen=True)
class Held:
    """A socket that the worker of `process` has open, and the thread that waits on it (None: none now, or not told)."""

    process: str
    pid: int
    fd: int
    what: str
    tid: int | None


def held_sockets(stage: Stage) -> list[Held]:
    """Every socket of every worker, in the order of the stage's processes."""
    return [
        Held(process.name, worker.pid, connection.fd, kind(connection), waiting_thread(worker.pid, connection.fd))
        for process in stage.processes
        for worker in process.workers()
        for connection in sorted(psutil.Process(worker.pid).net_connections("all"), key=lambda one: one.fd)
    ]


def kind(connection: Any) -> str:
    """What a socket is for. A UNIX socket that was connected, not accepted, has no name of its own."""
    if connection.family != socket.AF_UNIX:
        return "a visitor" if connection.raddr else "new visitors"
    return f"{str(connection.laddr).rpartition('/')[2]}, from the front" if connection.laddr else "the app behind"


# --- one visitor


def answered(stage: Stage, asked: int = TEN, within_s: float = 1.0) -> int:
    """How many of `asked` bystanders, who come all at once, are answered `within_s` seconds."""

    def served(_: int) -> bool:
        try:
            return ping(stage.port, timeout_s=within_s).status == 200
        except OSError:
            return False

    with ThreadPoolExecutor(asked) as counter:
        return sum(counter.map(served, range(asked)))


@dataclass(frozen=True)
class Visit:
    """What one logged-in visitor got while the stream was open, and how many of ten bystanders were answered then, and
    after the visitor had left."""

    raw: bytes
    beside: int
    after: int

    @property
    def status_lines(self) -> int:
        return self.raw.count(b"HTTP/1.")

    @property
    def head(self) -> str:
        return self.raw.partition(b"\r\n\r\n")[0].decode("latin-1")

    @property
    def data(self) -> list[str]:
        """The data of each event that a browser would have handed to the page."""
        return [event.data for event in EventStreamParser().feed(self.raw.partition(b"\r\n\r\n")[2])]


def visit(stage: Stage, for_s: float = 1.5) -> Visit:
    """Subscribe, let bystanders ask, take what has come after `for_s` seconds; leave, and let them ask again."""
    visitor = Session(stage.port)
    visitor.log_in()
    leaves = time.monotonic() + for_s
    with socket.create_connection((LOOPBACK, stage.port), timeout=for_s) as connection:  # first in the worker's queue
        connection.sendall(request_bytes(stage.port, stage.step.path, visitor.cookie))
        beside = answered(stage)
        raw = received(connection, leaves)
    return Visit(raw, beside, answered(stage))


def received(connection: socket.socket, until: float) -> bytes:
    """All that comes until the server closes, or `time.monotonic` says `until`."""
    raw = b""
    try:
        while (left := until - time.monotonic()) > 0:
            connection.settimeout(left)
            if not (chunk := connection.recv(65536)):
                break
            raw += chunk
    except OSError:
        pass
    return raw


# --- when events come


@dataclass
class Arrivals:
    """When the events of each of several streams came, while from `began` until `ended` Django did something else.
    In seconds since the start of the recording, which lasted `lasts` of them."""

    variant: str
    streams: list[list[float]]
    began: float
    ended: float
    lasts: float

    @property
    def longest_silence_s(self) -> float:
        """The longest time that any visitor heard nothing."""
        return max(after - before for came in self.streams for before, after in pairwise([0.0, *came, self.lasts]))


def record_arrivals(
    stage: Stage, meanwhile: Callable[[Stage], object], *, count: int = 5, around_s: float = 0.6
) -> Arrivals:
    """Open `count` streams, call `meanwhile`, and note when each event comes: `around_s` seconds before and after too.

    Raises: TimeoutError, or ConnectionError with the reason, where not every stream begins.
    """
    visitor = Session(stage.port)
    visitor.log_in()
    with EventStreamPool(stage.port, count, stage.step.path, cookie=visitor.cookie) as streams:
        streams.wait_for_events(1, OPEN_WITHIN_S)
        start = time.monotonic()
        with noting(streams) as times:
            time.sleep(around_s)
            began = time.monotonic()
            meanwhile(stage)
            ended = time.monotonic()
            time.sleep(around_s)
        lasts = time.monotonic() - start
    came = [[at - start for at in one] for one in times]
    return Arrivals(stage.variant.name, came, began - start, ended - start, lasts)


@contextmanager
def noting(streams: EventStreamPool) -> Iterator[list[list[float]]]:
    """Until the block is left, the moments at which each of `streams` had more events than before."""
    seen = [stream.events for stream in streams.all]
    times: list[list[float]] = [[] for _ in seen]
    closed = threading.Event()

    def poll() -> None:
        while not closed.wait(POLL_S):
            for place, stream in enumerate(streams.all):
                if stream.events > seen[place]:
                    seen[place] = stream.events
                    times[place].append(time.monotonic())

    with Background("the notes of when events came", poll, closed.set):
        yield times
