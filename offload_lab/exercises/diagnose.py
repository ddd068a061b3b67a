"""Why is an answer wrong? Read its INI; else start the variant, send requests, and match rules with what happened."""

import math
import re
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from http.client import HTTPException
from typing import Any

import psutil

from offload_lab.errors import LabError, NotReadyError, ProcessDiedError, WrongPingError
from offload_lab.process.deadlines import Deadline
from offload_lab.process.polling import wait_for
from offload_lab.stages.lesson import load_lesson
from offload_lab.stages.stage import Stage
from offload_lab.stages.step import Step, Task
from offload_lab.system import NOT_TOLD, is_linux
from offload_lab.uwsgi.logs import error_lines

from .cause import Cause
from .ini_causes import ini_causes
from .log_causes import WORKER_DIED, log_causes
from .stuck_workers import stuck_workers

WILL_NOT_START = "will_not_start"
PING_LOST = "ping_lost"
LAST_LINES = 3
AT_THE_END = re.compile(r"unlink\(\)|VACUUM|\*\*\*|closing all|goodbye")  # what uWSGI says after its error
REAPED_S = 2  # a master looks once a second
LEAST_S = 0.01  # 0 would be no limit

Rule = Callable[[Any], str | None]


@dataclass(frozen=True)
class Diagnosis:
    """`causes`: usually one; none for a right answer or an unknown mistake. Then `errors` has the logs' last errors,
    and `untold` the causes that cannot be seen on this system, with what is not told of them."""

    causes: tuple[Cause, ...]
    errors: tuple[str, ...] = ()
    untold: tuple[Cause, ...] = ()

    @property
    def sentences(self) -> list[str]:
        """For the learner."""
        if self.causes:
            return [cause.sentence for cause in self.causes]
        return [*self.errors, *(cause.sentence for cause in self.untold)]


class OutOfTimeError(BaseException):
    """The time for a scenario is over. Not an Exception: scenarios continue after many of those."""


def diagnose(step: Step, task: Task, deadline: Deadline | None = None) -> Diagnosis:
    """Why the answer to `task` in `step` is wrong.

    Reads the task's INI first. If that has no mistake, starts the task's variant, lets the lesson observe it, and
    applies the lesson's rules. At the `deadline` the observation ends, and what the workers do is reported. The
    processes are killed at the end.
    """
    began = time.monotonic()
    if causes := ini_causes(step, task):
        return Diagnosis(tuple(causes))
    lesson = load_lesson(step, task.diagnoses)
    try:
        with Stage(step, task.variant, options=getattr(lesson, "OPTIONS", ()), ready=deadline, grace_s=0) as stage:
            try:
                with time_limit(deadline.left() if deadline else math.inf):
                    seen = lesson.observe(stage)
            except OutOfTimeError:
                return Diagnosis((*causes_in_logs(stage), *busy(stage)), tuple(last_errors(stage)))
            except (LabError, OSError, HTTPException, psutil.Error):  # a process ended, an answer was cut
                return Diagnosis(tuple(causes_in_logs(stage)), tuple(last_errors(stage)))
            wait_until_deaths_are_logged(stage)
            sentences = [(rule.__name__, rule(seen)) for rule in lesson.RULES]
            causes = [Cause(name, sentence) for name, sentence in sentences if sentence]
            causes = causes_in_logs(stage, causes) or causes or list(busy(stage))
            return Diagnosis(tuple(causes)) if causes else Diagnosis((), tuple(last_errors(stage)), untold(lesson))
    except WrongPingError as error:
        return Diagnosis((Cause(PING_LOST, ping_lost(error)),))
    except (ProcessDiedError, NotReadyError) as error:
        sentence = will_not_start(error, time.monotonic() - began)
        in_time = isinstance(error, ProcessDiedError) or deadline is None
        return Diagnosis((Cause(WILL_NOT_START, sentence),) if in_time or error_lines(error.log_tail) else ())


def untold(lesson: Any) -> tuple[Cause, ...]:
    """Of a lesson's rules those that only /proc can decide: its UNTOLD has each with what is looked at."""
    if is_linux():
        return ()
    rules: dict[Rule, str] = getattr(lesson, "UNTOLD", {})
    return tuple(Cause(rule.__name__, f"{what}: {NOT_TOLD}") for rule, what in rules.items())


def wait_until_deaths_are_logged(stage: Stage) -> None:
    """A worker that has died is a zombie until its master reaps it, and writes so into the log."""

    def reaped() -> bool:
        with suppress(psutil.NoSuchProcess):
            children = [child for process in stage.processes for child in psutil.Process(process.pid).children()]
            return not any(child.status() == psutil.STATUS_ZOMBIE for child in children)
        return True

    with suppress(TimeoutError):
        wait_for(reaped, REAPED_S, "the end of workers that died")


@contextmanager
def time_limit(seconds: float) -> Iterator[None]:
    """End the block after `seconds`. Works in the main thread only.

    Raises: OutOfTimeError in the block.
    """

    def stop(*_: object) -> None:
        raise OutOfTimeError

    if math.isinf(seconds):
        yield
        return
    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, max(seconds, LEAST_S))
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def busy(stage: Stage) -> Iterator[Cause]:
    for server, worker in stuck_workers(stage):
        oldest = max(worker.requests, key=lambda request: request.since_s)
        request = f"{oldest.method} {oldest.path} for {oldest.since_s} s, and does not end it"
        yield Cause("busy", f"worker {worker.pid} of {server.name}.ini has been busy with {request}")


def causes_in_logs(stage: Stage, known: Sequence[Cause] = ()) -> list[Cause]:
    """The apps' errors in the logs, without those that a sentence of `known` quotes."""
    found: dict[str, Cause] = {}
    for process in stage.processes:
        log = process.log.read_text(errors="replace")
        for cause in log_causes(f"{process.name}.ini", log, str(stage.step.folder)):
            error = cause.sentence.rpartition(": ")[2]
            quoted = any(error in other.sentence for other in known) or (
                cause.id == WORKER_DIED and any(" died" in other.sentence for other in known)
            )
            if not quoted:
                found.setdefault(cause.id, cause)
    return list(found.values())


def last_errors(stage: Stage) -> list[str]:
    """The last error in each log, with the name of its process."""
    last = [(process.name, error_lines(process.log_tail(60))[-1:]) for process in stage.processes]
    return [f"the log of {name} says: {line}" for name, lines in last for line in lines]


def ping_lost(error: WrongPingError) -> str:
    """`GET /ping` is the lab's own first request; no task is about it."""
    if error.offloaded:
        return (
            f"GET /ping, the lab's own first request, was offloaded and got {error.answer}: the condition of a route in"
            f" {error.name}.ini is true for every request"
        )
    sentence = f"GET /ping, the lab's own first request, got {error.answer}: {error.name}.ini answered it"
    if error.answer == "no status line":
        sentence += " without Django's headers, as if the condition of disableheaders: were true for every request"
    return sentence


def in_short(error: LabError) -> str:
    """The error; of a server that did not start, with those lines only of its log that say why."""
    if isinstance(error, WrongPingError):
        return ping_lost(error)
    lines = error_lines(error.log_tail) if isinstance(error, ProcessDiedError | NotReadyError) else []
    return "\n".join([str(error).partition("\n")[0], *lines[-LAST_LINES:]]) if lines else str(error)


def will_not_start(error: ProcessDiedError | NotReadyError, waited_s: float) -> str:
    if isinstance(error, ProcessDiedError):
        what = "ended before it answered"
    else:
        what = f"lives, and did not answer within {waited_s:.0f} s"
    lines = error_lines(error.log_tail)[-LAST_LINES:]
    if isinstance(error, ProcessDiedError):
        lines = lines or [line for line in error.log_tail.splitlines() if line and not AT_THE_END.match(line)][-1:]
    return f"{error.name}.ini {what}" + (f". Its log says: {' / '.join(lines)}" if lines else "")
