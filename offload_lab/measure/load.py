"""What thousands of open streams cost: bystanders' waits; memory, descriptors and CPU of each process."""

import math
import resource
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import psutil

from offload_lab.clients import Probes
from offload_lab.clients.event_stream_pool import EventStreamPool
from offload_lab.clients.session import Session
from offload_lab.errors import LabError
from offload_lab.stages.stage import Stage
from offload_lab.uwsgi.server import Uwsgi

from .scenarios import memory_mib, named

OPEN_WITHIN_S = 60.0
SPARE_DESCRIPTORS = 100  # for everything that is no stream


@dataclass(frozen=True)
class Usage:
    """A process's resources at one moment. `cpu_s`: CPU seconds since it started."""

    memory_mib: float
    descriptors: int
    cpu_s: float

    @classmethod
    def of(cls, pid: int) -> "Usage":
        process = psutil.Process(pid)
        times = process.cpu_times()
        return cls(memory_mib(pid), process.num_fds(), times.user + times.system)


@dataclass
class LoadResult:
    """`streams` open at once, opened within `opened_s` seconds.

    `alone_ms`, `beside_ms`: bystanders' waits with no stream open and beside the streams; infinite without an answer.
    `workers`: by process, its worker's usage with no stream open, at the start of the measurement beside the streams,
    and at its end `watched_s` seconds later.
    """

    streams: int
    opened_s: float
    watched_s: float
    alone_ms: list[float] = field(default_factory=list)
    beside_ms: list[float] = field(default_factory=list)
    workers: dict[str, tuple[Usage, Usage, Usage]] = field(default_factory=dict)


def percentile(waits: list[float], percent: int) -> float:
    """The smallest wait that at least `percent` % did not exceed (nearest rank); NaN where there is none."""
    if not waits:
        return math.nan
    return sorted(waits)[max(0, -(-len(waits) * percent // 100) - 1)]


def make_room(streams: int) -> None:
    """Let this process, and what it starts from now on, open the files that `streams` need: two each in the front.

    Raises: LabError where the system allows fewer.
    """
    needed = 2 * streams + SPARE_DESCRIPTORS
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < needed:
        raise LabError(f"{streams} streams need {needed} open files, and the limit is {hard}; raise it (ulimit -Hn)")
    if soft != resource.RLIM_INFINITY and soft < needed:
        resource.setrlimit(resource.RLIMIT_NOFILE, (needed, hard))


def record_load(
    stage: Stage,
    streams: int,
    *,
    watch_s: float = 2.0,
    every_s: float = 0.01,
    progress: Callable[[float], None] = lambda share: None,
) -> LoadResult:
    """Bystanders for `watch_s` seconds with no stream open, then as long beside `streams` of them.

    Call `make_room` before the stage is started.

    Raises: LabError where not every stream begins.
    """
    with named(stage):
        session = Session(stage.port)
        session.log_in()
    with named(stage):
        pids = {process.name: a_worker(process) for process in stage.processes}
    before = {name: Usage.of(pid) for name, pid in pids.items()}
    alone = waits(stage, watch_s, every_s)
    progress(0.3)
    started = time.monotonic()
    with EventStreamPool(stage.port, streams, stage.step.path, cookie=session.cookie) as subscribers:
        with named(stage):
            subscribers.wait_for_events(1, OPEN_WITHIN_S)
        opened_s = time.monotonic() - started
        progress(0.6)
        first = {name: Usage.of(pid) for name, pid in pids.items()}
        beside = waits(stage, watch_s, every_s)
        last = {name: Usage.of(pid) for name, pid in pids.items()}
    return LoadResult(
        streams, opened_s, watch_s, alone, beside, {name: (before[name], first[name], last[name]) for name in pids}
    )


def a_worker(process: Uwsgi) -> int:
    """The process id of the first worker.

    Raises: ConnectionError while it has none.
    """
    workers = process.workers()
    if not workers:
        raise ConnectionError(f"{process.name} has no worker just now; try again")
    return workers[0].pid


def waits(stage: Stage, for_s: float, every_s: float) -> list[float]:
    """How long each bystander waited, in ms; infinite without an answer."""
    with Probes(stage.port, every_s) as bystanders:
        time.sleep(for_s)
    return [probe.wait_ms for probe in bystanders.all]
