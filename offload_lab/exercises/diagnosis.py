"""What does a wrong answer make the processes do? Start them, send a visitor, look, and match what was seen."""

from collections.abc import Callable
from dataclasses import dataclass
from http.client import HTTPException
from importlib import import_module
from typing import Any

import psutil

from ..errors import LabError, NotReady, ProcessDied
from ..explain import describe
from ..manifest import Step, Task
from ..stage import Stage

WILL_NOT_START = "will_not_start"
# which of uWSGI's last words say why
TELLING = ("strict-mode", "Error", "error", "invalid", "unable", "failed", "unknown", "bind()", "no such")
LAST_WORDS = 3

Rule = Callable[[Any], str | None]


@dataclass(frozen=True)
class Finding:
    """A rule that matched: its id, and what it saw in words."""

    id: str
    words: str


@dataclass(frozen=True)
class Diagnosis:
    """What was seen, in sentences, and the findings: usually one, none for a right answer or an unknown mistake."""

    seen: tuple[str, ...]
    findings: tuple[Finding, ...]


def diagnose(step: Step, task: Task) -> Diagnosis:
    """Start the task's variant of `step`, send the visitor of its scenario, and apply the rules to what was seen."""
    visitor = import_module(f".diagnoses.{task.visit or step.scenario}", __package__)
    try:
        with Stage(step, task.variant, options=getattr(visitor, "OPTIONS", ())) as stage:
            try:
                seen = visitor.visit(stage)
            except (LabError, OSError, HTTPException, psutil.Error) as error:  # a process ended, an answer was cut
                what = str(error) or type(error).__name__
                return Diagnosis((f"the look at the processes was cut short: {what}", *last_errors(stage)), ())
    except (ProcessDied, NotReady) as error:
        return Diagnosis((), (Finding(WILL_NOT_START, will_not_start(error)),))
    said = [(rule.__name__, rule(seen)) for rule in visitor.RULES]
    findings = tuple(Finding(name, words) for name, words in said if words)
    return Diagnosis(tuple(describe(seen.facts)), findings)


def last_errors(stage: Stage) -> list[str]:
    """The last line of each log that tells of an error, with the process's name."""
    found = []
    for process in stage.processes:
        lines = [line.strip() for line in process.log_tail(60).splitlines() if any(word in line for word in TELLING)]
        found += [f"the log of {process.name} says: {line}" for line in lines[-1:]]
    return found


def will_not_start(error: ProcessDied | NotReady) -> str:
    lines = [line.strip() for line in error.log_tail.splitlines() if any(word in line for word in TELLING)]
    words = lines[-LAST_WORDS:] or error.log_tail.splitlines()[-1:]
    what = "ended before it served anybody" if isinstance(error, ProcessDied) else "lives, but answers nobody"
    return f"{error.name}.ini {what}. Its log says: {' / '.join(words)}"
