"""Record a long-lived client, periodic `/ping` probes and process samples."""

import platform
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from http.client import HTTPException
from types import TracebackType
from typing import Self

import psutil

from offload_lab.clients import Probe, Probes, SlowReader
from offload_lab.clients.event_stream_pool import EventStreamPool
from offload_lab.clients.session import Session
from offload_lab.errors import LabError
from offload_lab.inspect.socket_owners import find_socket_owners
from offload_lab.process.background import Background
from offload_lab.stages.stage import Stage
from offload_lab.timeouts import scaled
from offload_lab.uwsgi.stats import StatsError

from .model import Recording, Sample, Transfer

BEFORE_S = 0.5  # bystanders alone, to see the idle wait
LAST_ANSWER_S = 0.3  # seconds to wait for outstanding probes
AFTER_S = 0.3  # to record the idle worker
FINISH_S = 60.0  # for the rest of a download at full speed
EVERY_S = 0.1  # between two probes, and between two samples
RATE_MIB_S = 8.0


def memory_mib(pid: int) -> float:
    """PSS where the system has it (Linux), else RSS; 0 for a process that is gone. In MiB."""
    try:
        memory = psutil.Process(pid).memory_full_info()
    except psutil.Error:
        return 0.0
    return float(getattr(memory, "pss", memory.rss)) / 2**20


def take_sample(stage: Stage, client_port: int | None, at: float) -> Sample:
    """One sample of the stage's processes. `client_port` is the slow client's."""
    pids = [pid for process in stage.processes for pid in process.pids()]
    holders = find_socket_owners(stage.port, client_port, pids) if client_port else []
    return Sample(
        at=at,
        workers=[
            {
                "pid": worker.pid,
                "front": process is stage.front,
                "busy": worker.busy,
                "requests": worker.requests,
                "offloaded": worker.offloaded,
            }
            for process in stage.processes
            for worker in process.workers()
        ],
        memory_mib={str(pid): memory_mib(pid) for pid in pids},
        holder={"pid": holders[0].pid, "fd": holders[0].fd, "tid": holders[0].tid} if holders else None,
    )


@contextmanager
def named(stage: Stage) -> Iterator[None]:
    """Turn a client's error into a LabError with the variant's name and logs."""
    try:
        yield
    except (OSError, HTTPException) as error:
        what = str(error) or type(error).__name__
        raise LabError(
            f"{stage.step.name} {stage.variant.name} cannot be measured: {what}; the logs say:\n{stage.logs()}"
        ) from error


class Sampler:
    """Takes a sample every `EVERY_S` in its own thread until the block is left.

    Where a stats server does not answer, the sample has a `gap`. Any other error is raised at the block's end.
    """

    def __init__(self, stage: Stage, clock: Callable[[], float]) -> None:
        self.samples: list[Sample] = []
        self.client_port: int | None = None
        self._stage, self._clock = stage, clock
        self._closed = threading.Event()
        self._thread = Background("the sampler", self._run, self._closed.set)

    def _run(self) -> None:
        while not self._closed.is_set():
            at = self._clock()
            try:
                sample = take_sample(self._stage, self.client_port, at)
            except StatsError as error:
                sample = Sample(at, [], {}, None, gap=f"the stats server: {error.why}")
            self.samples.append(sample)
            self._closed.wait(EVERY_S)

    def __enter__(self) -> Self:
        self._thread.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._thread.__exit__(kind, value, trace)


class Watch:
    """A measurement in progress: probes and samples while the clock runs.

    `progress` is called with the share done, 0 to 1, of about `lasts_s` seconds.
    """

    def __init__(self, stage: Stage, lasts_s: float, progress: Callable[[float], None] | None) -> None:
        self._stage, self._lasts_s, self._progress = stage, lasts_s, progress
        self._start = time.monotonic()
        self.sampler = Sampler(stage, self.clock)
        self.bystanders = Probes(stage.port, EVERY_S)

    def clock(self) -> float:
        """Seconds since the start."""
        return time.monotonic() - self._start

    def wait(self, until: float) -> None:
        """Returns when the clock reads `until`, in seconds."""
        while (now := self.clock()) < until:
            if self._progress:
                self._progress(min(1.0, now / self._lasts_s))
            time.sleep(min(0.1, until - now))

    def close_bystanders(self) -> None:
        """Send no more probes. Returns once all are answered, LAST_ANSWER_S (scaled) later at most."""
        self.bystanders.close()
        latest = self.clock() + scaled(LAST_ANSWER_S)
        while any(bystander.answered is None and bystander.error is None for bystander in self.bystanders.all):
            if (now := self.clock()) > latest:
                return
            self.wait(now + 0.02)

    def __enter__(self) -> Self:
        with ExitStack() as exits:  # undoes what was done if a later line fails
            exits.enter_context(self.sampler)
            exits.enter_context(self.bystanders)
            self._exits = exits.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._exits.__exit__(kind, value, trace)

    def recording(self, transfer: Transfer) -> Recording:
        stage = self._stage
        return Recording(
            step=stage.step.name,
            variant=stage.variant.name,
            says=stage.variant.says,
            reference=stage.variant.reference,
            engine=f"{stage.front.engine.name} {stage.front.engine.version}",
            machine=f"{platform.system()} {platform.machine()}, {psutil.cpu_count()} cores",
            taken=datetime.now(UTC).isoformat(timespec="seconds"),
            memory_is="PSS" if hasattr(psutil.Process().memory_full_info(), "pss") else "RSS",
            transfer=transfer,
            bystanders=[relative(bystander, self._start) for bystander in self.bystanders.all],
            samples=self.sampler.samples,
        )


def record_download(
    stage: Stage,
    *,
    slow_s: float = 3.0,
    rate_mib_s: float = RATE_MIB_S,
    progress: Callable[[float], None] | None = None,
) -> Recording:
    """Record how a started `stage` serves its path to a client that reads slowly for `slow_s` seconds.

    The file must be larger than `slow_s` times `rate_mib_s` MiB and the kernel's buffers together (a few MiB), else
    the worker is idle before the client has the file.

    Raises: LabError if the transfer failed, or ended before its time.
    """
    with named(stage), Watch(stage, BEFORE_S + slow_s + AFTER_S, progress) as watch:
        watch.wait(BEFORE_S)
        began = watch.clock()
        with SlowReader(stage.port, stage.step.path, rate_mib_s) as reader:
            watch.sampler.client_port = reader.port
            watch.wait(began + slow_s)
            watch.close_bystanders()
            too_early = reader.done.is_set()
            hurried = watch.clock()
            reader.hurry()
            in_time = reader.done.wait(FINISH_S)
            ended = watch.clock()
        watch.wait(ended + AFTER_S)
    if not in_time:
        raise LabError(
            f"{stage.step.name} {stage.variant.name}: the download had not ended {FINISH_S:g} s after it took all that"
            f" came ({reader.received / 2**20:,.1f} MiB so far); the logs say:\n{stage.logs()}"
        )
    if reader.error or too_early:
        raise LabError(
            f"{stage.step.name} {stage.variant.name}: the download ended after {ended - began:.1f} s, before its time:"
            f" {reader.error or 'the file is too small'}; the logs say:\n{stage.logs()}"
        )
    received_mib = reader.received / 2**20
    return watch.recording(Transfer(stage.step.path, rate_mib_s, began, hurried, ended, received_mib))


def record_streams(
    stage: Stage,
    *,
    count: int = 5,
    open_s: float = 3.0,
    progress: Callable[[float], None] | None = None,
) -> Recording:
    """Record how a started `stage` serves `count` event streams of one user for `open_s` seconds.

    Where nothing is offloaded only the first stream is answered: the others wait with the bystanders.

    Raises: LabError where no stream is answered.
    """
    with named(stage):
        session = Session(stage.port)
        session.log_in()
    with named(stage), Watch(stage, BEFORE_S + open_s + AFTER_S, progress) as watch:
        watch.wait(BEFORE_S)
        with EventStreamPool(stage.port, count, stage.step.path, cookie=session.cookie) as streams:
            streams.wait_for_first(timeout_s=10)
            began = watch.clock()
            watch.sampler.client_port = streams.first_port
            watch.wait(began + open_s)
            watch.close_bystanders()
            hurried = watch.clock()
        watch.wait(hurried + AFTER_S)
    return watch.recording(Transfer(stage.step.path, 0.0, began, hurried, hurried, 0.0, kind="stream", count=count))


SCENARIOS: dict[str, Callable[..., Recording]] = {"download": record_download, "streams": record_streams}


def relative(probe: Probe, start: float) -> Probe:
    answered = None if probe.answered is None else probe.answered - start
    return Probe(probe.sent - start, answered, probe.pid, probe.error)
