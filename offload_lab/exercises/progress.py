"""A learner's progress in one file: for each task the tries, the hints taken, and when it passed."""

import fcntl
import json
import os
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from datetime import datetime
from pathlib import Path

from offload_lab.stages.step import Exercise, Step

from .workspace import work


@dataclass
class TaskRecord:
    """`tries`: checks of something else than the blank, until it passed. `passed`: ISO time in local time, or empty;
    `given`: the same, of a solution that was written without having passed."""

    tries: int = 0
    hints: int = 0
    passed: str = ""
    given: str = ""

    @property
    def open(self) -> bool:
        return not (self.passed or self.given)


@dataclass
class Progress:
    """`set_aside`: the path to which a file that could not be read was moved."""

    records: dict[str, dict[str, TaskRecord]] = field(default_factory=dict)
    set_aside: Path | None = None

    def of(self, step: Step, task: Exercise) -> TaskRecord:
        return self.records.setdefault(step.name, {}).setdefault(task.name, TaskRecord())


def load() -> Progress:
    """The saved progress; an empty one if the file cannot be read, which is then moved."""
    path = work() / ".progress.json"
    if not path.exists():
        return Progress()
    try:
        data = json.loads(path.read_text())
        return Progress({step: {task: TaskRecord(**row) for task, row in rows.items()} for step, rows in data.items()})
    except (ValueError, TypeError, AttributeError):
        aside = path.with_name(f".progress-broken-{datetime.now():%Y%m%d-%H%M%S-%f}.json")
        path.rename(aside)
        return Progress(set_aside=aside)


@contextmanager
def updating() -> Iterator[Progress]:
    """Load the progress, save it at the end of the block. Other commands wait meanwhile, a watch for example."""
    work().mkdir(parents=True, exist_ok=True)
    with (work() / ".progress.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        progress = load()
        yield progress
        save(progress)


def save(progress: Progress) -> None:
    """Replace the file in one step."""
    rows = {step: {task: asdict(row) for task, row in records.items()} for step, records in progress.records.items()}
    handle, name = tempfile.mkstemp(dir=work(), prefix=".progress-", suffix=".new")
    with os.fdopen(handle, "w") as new:
        json.dump(rows, new, indent=1)
    os.replace(name, work() / ".progress.json")


def record_check(step: Step, task: Exercise, *, passed: bool, tried: bool, solution: bool = False) -> Progress:
    """Save the result of a check. `tried`: the answer was not the blank. `solution`: it was the step's own, which does
    not count where it was given."""
    with updating() as progress:
        record = progress.of(step, task)
        if record.given and solution:
            return progress
        if tried and not record.passed:
            record.tries += 1
        if passed and not record.passed:
            record.passed, record.given = now(), ""
    return progress


def record_given(step: Step, tasks: Iterable[Exercise]) -> None:
    """Save that these have their solutions from us; what has passed before stays passed."""
    with updating() as progress:
        for task in tasks:
            record = progress.of(step, task)
            record.given = record.given if record.passed else now()


def forget_given(step: Step, tasks: Iterable[Exercise]) -> None:
    """Save that these have their blanks back."""
    with updating() as progress:
        for task in tasks:
            progress.of(step, task).given = ""


def now() -> str:
    return datetime.now().isoformat(timespec="minutes")
