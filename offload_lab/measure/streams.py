"""Measurements of open event streams: which thread waits on which socket, what one client receives, when events arrive.

Each takes a started stage and returns plain data.
"""

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise

from offload_lab.clients import ping
from offload_lab.clients.event_stream import EventStreamParser
from offload_lab.clients.event_stream_pool import EventStreamPool
from offload_lab.clients.raw import RawClient
from offload_lab.clients.session import Session
from offload_lab.clients.sse import request_bytes
from offload_lab.inspect.kernel_sockets import Socket, sockets_of
from offload_lab.inspect.threads import waiting_thread
from offload_lab.process.background import Background
from offload_lab.stages.stage import Stage

TEN = 10
POLL_S = 0.005
OPEN_WITHIN_S = 60.0


# --- which thread waits on which socket


@dataclass(frozen=True)
class HeldSocket:
    """A socket that the worker of `process` has open. `tid` is the thread that waits on it; None where none does just
    now, or the system does not show it.
    """

    process: str
    pid: int
    fd: int
    what: str
    tid: int | None


def held_sockets(stage: Stage) -> list[HeldSocket]:
    """Every socket of every worker, in the order of the stage's processes."""
    return [
        HeldSocket(process.name, worker.pid, fd, describe_peer(socket), waiting_thread(worker.pid, fd))
        for process in stage.processes
        for worker in process.workers()
        for fd, socket in sorted(sockets_of(worker.pid).items())
    ]


def describe_peer(socket: Socket) -> str:
    """The other end of a socket. A UNIX socket that connected, instead of accepting, has no name of its own."""
    if socket.kind == "tcp":
        return "new clients" if socket.state == "listening" else "a client"
    return f"{socket.local.rpartition('/')[2]}, from the front" if socket.local else "the backend"


# --- one client


def answered(stage: Stage, count: int = TEN, within_s: float = 1.0) -> int:
    """How many of `count` bystanders, sent at the same time, are answered within `within_s` seconds."""

    def is_answered(_: int) -> bool:
        try:
            return ping(stage.port, timeout_s=within_s).status == 200
        except OSError:
            return False

    with ThreadPoolExecutor(count) as pool:
        return sum(pool.map(is_answered, range(count)))


@dataclass(frozen=True)
class ObservedStream:
    """What one logged-in client received, and how many of ten bystanders were answered while its stream was open, and
    after it had disconnected.
    """

    raw: bytes
    answered_during: int
    answered_after: int

    @property
    def status_lines(self) -> int:
        return self.raw.count(b"HTTP/1.")

    @property
    def head(self) -> str:
        """The first response headers."""
        return self.raw.partition(b"\r\n\r\n")[0].decode("latin-1")

    @property
    def data(self) -> list[str]:
        """The data of each event that a browser would dispatch."""
        return [event.data for event in EventStreamParser().feed(self.raw.partition(b"\r\n\r\n")[2])]


def observe_stream(stage: Stage, for_s: float = 1.5) -> ObservedStream:
    """Subscribe for `for_s` seconds, with bystanders meanwhile and after."""
    session = Session(stage.port)
    session.log_in()
    ends = time.monotonic() + for_s
    request = request_bytes(stage.port, stage.step.path, session.cookie)
    with RawClient(stage.port, request) as client:  # before the bystanders in the listen queue
        during = answered(stage)
        raw = client.read_for(ends - time.monotonic())
    return ObservedStream(raw, during, answered(stage))


# --- when events arrive


@dataclass
class Arrivals:
    """When the events of several streams arrived, while Django did something else from `began` until `ended`.

    In seconds since the start of the recording, which lasted `lasts` seconds.
    """

    variant: str
    streams: list[list[float]]
    began: float
    ended: float
    lasts: float

    @property
    def longest_silence_s(self) -> float:
        """The longest time in which any stream had no event."""
        return max(after - before for times in self.streams for before, after in pairwise([0.0, *times, self.lasts]))


def record_arrivals(
    stage: Stage, meanwhile: Callable[[Stage], object], *, count: int = 5, around_s: float = 0.6
) -> Arrivals:
    """Record `count` streams for `around_s` seconds, while `meanwhile` runs, and for `around_s` seconds more.

    Raises: TimeoutError, or ConnectionError with the reason, where not every stream begins.
    """
    session = Session(stage.port)
    session.log_in()
    with EventStreamPool(stage.port, count, stage.step.path, cookie=session.cookie) as streams:
        streams.wait_for_events(1, OPEN_WITHIN_S)
        start = time.monotonic()
        with arrival_times(streams) as times:
            time.sleep(around_s)
            began = time.monotonic()
            meanwhile(stage)
            ended = time.monotonic()
            time.sleep(around_s)
        lasts = time.monotonic() - start
    relative = [[at - start for at in stream] for stream in times]
    return Arrivals(stage.variant.name, relative, began - start, ended - start, lasts)


@contextmanager
def arrival_times(streams: EventStreamPool) -> Iterator[list[list[float]]]:
    """Until the block is left: when each of `streams` was seen to have more events, on `time.monotonic`'s clock."""
    seen = [stream.events for stream in streams.all]
    times: list[list[float]] = [[] for _ in seen]
    closed = threading.Event()

    def poll() -> None:
        while not closed.wait(POLL_S):
            for place, stream in enumerate(streams.all):
                if stream.events > seen[place]:
                    seen[place] = stream.events
                    times[place].append(time.monotonic())

    with Background("the recorder of arrivals", poll, closed.set):
        yield times
