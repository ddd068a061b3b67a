"""What does a wrong answer make the processes do? Read its INI, start them, send requests, and match what was seen."""

import math
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPException
from typing import Any

import psutil

from offload_lab.errors import LabError, NotReadyError, ProcessDiedError, WrongPingError
from offload_lab.process.deadlines import Deadline
from offload_lab.stages.lesson import load_lesson
from offload_lab.stages.manifest import Step, Task
from offload_lab.stages.stage import Stage

from .finding import Finding
from .ini_facts import ini_facts
from .logs import CLIENT_LEFT, app_findings
from .stuck import stuck

WILL_NOT_START = "will_not_start"
PING_LOST = "ping_lost"
# which of uWSGI's last words say why
TELLING = ("strict-mode", "Error", "error", "invalid", "unable", "failed", "unknown", "bind()", "no such")
REQUEST = "[pid: "  # begins a line about a request, in which any word may stand
LAST_WORDS = 3
LEAST_S = 0.01  # 0 would be no limit
TELLS_S = 2.0  # a server that does not answer for so long

Rule = Callable[[Any], str | None]


@dataclass(frozen=True)
class Diagnosis:
    """The findings: usually one, none for a right answer or an unknown mistake; `errors` are then the logs' last."""

    findings: tuple[Finding, ...]
    errors: tuple[str, ...] = ()


class OutOfTimeError(BaseException):
    """Not an Exception: a scenario goes on after many of those."""


def diagnose(step: Step, task: Task, deadline: Deadline | None = None) -> Diagnosis:
    """What the text of the task's INI says; else start its variant of `step`, send the requests of its scenario, and
    apply the rules to what was seen. At the `deadline` the scenario is left: then what is busy, and the logs. The
    processes are killed at the end."""
    began = time.monotonic()
    if facts := ini_facts(step, task):
        return Diagnosis(tuple(facts))
    lesson = load_lesson(step, task.diagnoses)
    try:
        with Stage(step, task.variant, options=getattr(lesson, "OPTIONS", ()), ready=deadline, grace_s=0) as stage:
            try:
                with limited(deadline.left() if deadline else math.inf):
                    seen = lesson.observe(stage)
            except OutOfTimeError:
                return Diagnosis((*of_logs(stage), *busy(stage)), tuple(last_errors(stage)))
            except (LabError, OSError, HTTPException, psutil.Error):  # a process ended, an answer was cut
                return Diagnosis(tuple(of_logs(stage)), tuple(last_errors(stage)))
            said = [(rule.__name__, rule(seen)) for rule in lesson.RULES]
            findings = [Finding(name, words) for name, words in said if words]
            findings = of_logs(stage, findings) or findings or list(busy(stage))
            return Diagnosis(tuple(findings), () if findings else tuple(last_errors(stage)))
    except WrongPingError as error:
        return Diagnosis((Finding(PING_LOST, ping_lost(error)),))
    except (ProcessDiedError, NotReadyError) as error:
        waited_s = time.monotonic() - began
        tells = isinstance(error, ProcessDiedError) or waited_s > TELLS_S
        return Diagnosis((Finding(WILL_NOT_START, will_not_start(error, waited_s)),) if tells else ())


@contextmanager
def limited(seconds: float) -> Iterator[None]:
    """Raises OutOfTimeError in the block; only the main thread can."""

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


def busy(stage: Stage) -> Iterator[Finding]:
    for server, worker in stuck(stage):
        oldest = max(worker.requests, key=lambda request: request.since_s)
        words = f"has been busy with {oldest.method} {oldest.path} for {oldest.since_s} s, and does not end it"
        yield Finding("busy", f"worker {worker.pid} of {server.name}.ini {words}")


def of_logs(stage: Stage, findings: Sequence[Finding] = ()) -> list[Finding]:
    """What the logs say of the apps, unless a rule's finding tells of it as well: then that is the one to believe."""
    found: dict[str, Finding] = {}
    for process in stage.processes:
        log = process.log.read_text(errors="replace")
        for finding in app_findings(f"{process.name}.ini", log, str(stage.step.folder)):
            error = finding.words.rpartition(": ")[2]
            if not any(error in one.words for one in findings):
                found.setdefault(finding.id, finding)
    return list(found.values())


def last_errors(stage: Stage) -> list[str]:
    """The last line of each log that tells of an error, with the process's name."""
    last = [(process.name, telling(process.log_tail(60))[-1:]) for process in stage.processes]
    return [f"the log of {name} says: {line}" for name, lines in last for line in lines]


def telling(log: str) -> list[str]:
    lines = [line.strip() for line in log.splitlines() if not line.startswith((REQUEST, CLIENT_LEFT))]
    return [line for line in lines if any(word in line for word in TELLING)]


def ping_lost(error: WrongPingError) -> str:
    """`GET /ping` is the lab's own first request; no task is about it."""
    if error.offloaded:
        return (
            f"GET /ping, the lab's own first request, was offloaded and got {error.answer}: the condition of a route in"
            f" {error.name}.ini is true for every request"
        )
    return f"GET /ping, the lab's own first request, got {error.answer}: {error.name}.ini answered it"


def will_not_start(error: ProcessDiedError | NotReadyError, waited_s: float) -> str:
    if isinstance(error, ProcessDiedError):
        what = "ended before it answered"
    else:
        what = f"lives, and did not answer within {waited_s:.0f} s"
    lines = telling(error.log_tail)[-LAST_WORDS:]
    return f"{error.name}.ini {what}" + (f". Its log says: {' / '.join(lines)}" if lines else "")
