"""Take a recording: one slow visitor, many bystanders, and a look at the processes every now and then."""

import platform
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime

import psutil

from .clients import Bystander, Bystanders, SlowReader
from .errors import LabError
from .holder import find_holders
from .recording import Recording, Sample, Transfer
from .stage import Stage

BEFORE_S = 0.5  # bystanders alone, to see the idle wait
AFTER_S = 0.3  # to see the worker come back
EVERY_S = 0.1  # a new bystander, and a new sample
RATE_MIB_S = 8.0


def memory_mib(pid: int) -> float:
    """PSS where the system has it (Linux), else RSS; 0 for a process that is gone. In MiB."""
    try:
        memory = psutil.Process(pid).memory_full_info()
    except psutil.Error:
        return 0.0
    return float(getattr(memory, "pss", memory.rss)) / 2**20


def look(stage: Stage, client_port: int | None, at: float) -> Sample:
    """One sample of the stage's processes. `client_port` is the slow visitor's."""
    pids = [pid for process in stage.processes for pid in process.pids()]
    holders = find_holders(stage.port, client_port, pids) if client_port else []
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


class Sampler:
    """Looks every `EVERY_S` in a thread of its own until the block is left."""

    def __init__(self, stage: Stage, clock: Callable[[], float]) -> None:
        self.samples: list[Sample] = []
        self.client_port: int | None = None
        self._stage, self._clock = stage, clock
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def _run(self) -> None:
        while not self._closed.is_set():
            self.samples.append(look(self._stage, self.client_port, self._clock()))
            self._closed.wait(EVERY_S)

    def __enter__(self) -> "Sampler":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._closed.set()
        self._thread.join()


def record_download(
    stage: Stage,
    *,
    slow_s: float = 3.0,
    rate_mib_s: float = RATE_MIB_S,
    progress: Callable[[float], None] | None = None,
) -> Recording:
    """Record how a started `stage` serves its path to a visitor whose connection is bad for `slow_s` seconds.

    The file must be larger than `slow_s` times `rate_mib_s` MiB and the kernel's buffers together (a few MiB), else
    the worker is free before the visitor is. `progress` gets the share done, 0 to 1. Raises LabError if the transfer
    failed or ended too early to show anything.
    """
    start = time.monotonic()

    def clock() -> float:
        return time.monotonic() - start

    def pass_time(until: float) -> None:
        while (now := clock()) < until:
            if progress:
                progress(min(1.0, now / (BEFORE_S + slow_s + AFTER_S)))
            time.sleep(min(0.1, until - now))

    with Sampler(stage, clock) as sampler, Bystanders(stage.port, EVERY_S) as bystanders:
        pass_time(BEFORE_S)
        began = clock()
        with SlowReader(stage.port, stage.step.path, rate_mib_s) as reader:
            sampler.client_port = reader.port
            pass_time(began + slow_s)
            bystanders.close()
            too_early = reader.done.is_set()
            hurried = clock()
            reader.hurry()
            reader.done.wait()
            ended = clock()
        pass_time(ended + AFTER_S)
    if reader.error or too_early:
        raise LabError(
            f"{stage.step.name} {stage.variant.name}: the download ended after {ended - began:.1f} s, before its time:"
            f" {reader.error or 'the file is too small'}; the logs say:\n{stage.logs()}"
        )
    return Recording(
        step=stage.step.name,
        variant=stage.variant.name,
        says=stage.variant.says,
        reference=stage.variant.reference,
        engine=f"{stage.front.engine.name} {stage.front.engine.version}",
        machine=f"{platform.system()} {platform.machine()}, {psutil.cpu_count()} cores",
        taken=datetime.now(UTC).isoformat(timespec="seconds"),
        memory_is="PSS" if hasattr(psutil.Process().memory_full_info(), "pss") else "RSS",
        transfer=Transfer(
            path=stage.step.path,
            rate_mib_s=rate_mib_s,
            began=began,
            hurried=hurried,
            ended=ended,
            received_mib=reader.received / 2**20,
        ),
        bystanders=[relative(one, start) for one in bystanders.all],
        samples=sampler.samples,
    )


def relative(one: Bystander, start: float) -> Bystander:
    answered = None if one.answered is None else one.answered - start
    return Bystander(one.sent - start, answered, one.pid, one.error)
