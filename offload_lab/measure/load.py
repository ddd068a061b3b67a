"""What a crowd of open streams costs: bystanders' waits beside it; memory, descriptors and CPU of each side."""

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
class Worker:
    """What one process had at one moment. `cpu_s` is all that it has used so far."""

    memory_mib: float
    descriptors: int
    cpu_s: float

    @classmethod
    def of(cls, pid: int) -> "Worker":
        process = psutil.Process(pid)
        times = process.cpu_times()
        return cls(memory_mib(pid), process.num_fds(), times.user + times.system)


@dataclass
class LoadResult:
    """`streams` open at once, opened within `opened_s` seconds.

    Bystanders' waits in ms, with none open and beside them; infinite for who got no answer. `workers`: of each process,
    its worker with none open, and then at the begin and at the end of the watch, which took `watched_s` seconds.
    """

    streams: int
    opened_s: float
    watched_s: float
    alone_ms: list[float] = field(default_factory=list)
    beside_ms: list[float] = field(default_factory=list)
    workers: dict[str, tuple[Worker, Worker, Worker]] = field(default_factory=dict)


def percentile(waits: list[float], percent: int) -> float:
    """The smallest wait that at least `percent` in a hundred did not exceed; NaN where there is none at all."""
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
        visitor = Session(stage.port)
        visitor.log_in()
    with named(stage):
        pids = {process.name: a_worker(process) for process in stage.processes}
    before = {name: Worker.of(pid) for name, pid in pids.items()}
    alone = waits(stage, watch_s, every_s)
    progress(0.3)
    started = time.monotonic()
    with EventStreamPool(stage.port, streams, stage.step.path, cookie=visitor.cookie) as crowd:
        with named(stage):
            crowd.wait_for_events(1, OPEN_WITHIN_S)
        opened_s = time.monotonic() - started
        progress(0.6)
        first = {name: Worker.of(pid) for name, pid in pids.items()}
        beside = waits(stage, watch_s, every_s)
        last = {name: Worker.of(pid) for name, pid in pids.items()}
    return LoadResult(
        streams, opened_s, watch_s, alone, beside, {name: (before[name], first[name], last[name]) for name in pids}
    )


def a_worker(process: Uwsgi) -> int:
    """The process id of one of its workers.

    Raises: ConnectionError while it has none.
    """
    workers = process.workers()
    if not workers:
        raise ConnectionError(f"{process.name} has no worker just now")
    return workers[0].pid


def waits(stage: Stage, for_s: float, every_s: float) -> list[float]:
    """How long each bystander waited, in ms; infinite for who got no answer."""
    with Probes(stage.port, every_s) as bystanders:
        time.sleep(for_s)
    return [float("inf") if one.answered is None else 1000 * (one.answered - one.sent) for one in bystanders.all]
