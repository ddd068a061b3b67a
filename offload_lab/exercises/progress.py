"""How far a learner is: per task the tries, the hints taken and the moment it passed, in one small file."""

import fcntl
import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from datetime import datetime
from pathlib import Path

from offload_lab.stages.manifest import Step, Task

from .workspace import work


@dataclass
class Way:
    """One task's. `tries` are checks of something else than the blank, until it passed; `passed` is local time."""

    tries: int = 0
    hints: int = 0
    passed: str = ""


@dataclass
class Progress:
    """`set_aside` is where a file that could not be read was moved."""

    ways: dict[str, dict[str, Way]] = field(default_factory=dict)
    set_aside: Path | None = None

    def of(self, step: Step, task: Task) -> Way:
        return self.ways.setdefault(step.name, {}).setdefault(task.name, Way())


def load() -> Progress:
    """What is known so far; nothing, after the file was set aside, where it cannot be read."""
    path = work() / ".progress.json"
    if not path.exists():
        return Progress()
    try:
        data = json.loads(path.read_text())
        return Progress({step: {task: Way(**way) for task, way in tasks.items()} for step, tasks in data.items()})
    except (ValueError, TypeError, AttributeError):
        aside = path.with_name(f".progress-broken-{datetime.now():%Y%m%d-%H%M%S-%f}.json")
        path.rename(aside)
        return Progress(set_aside=aside)


@contextmanager
def updating() -> Iterator[Progress]:
    """Load it, and save it when the block ends well; a second command (a watch beside a hint) waits its turn."""
    work().mkdir(parents=True, exist_ok=True)
    with (work() / ".progress.lock").open("w") as turn:
        fcntl.flock(turn, fcntl.LOCK_EX)
        progress = load()
        yield progress
        save(progress)


def save(progress: Progress) -> None:
    """All of it or nothing: a new file takes the old one's place."""
    ways = {step: {task: asdict(way) for task, way in tasks.items()} for step, tasks in progress.ways.items()}
    handle, name = tempfile.mkstemp(dir=work(), prefix=".progress-", suffix=".new")
    with os.fdopen(handle, "w") as new:
        json.dump(ways, new, indent=1)
    os.replace(name, work() / ".progress.json")


def note_check(step: Step, task: Task, *, passed: bool, tried: bool) -> Progress:
    """Write down one check; `tried` says that something else than the blank was checked."""
    with updating() as progress:
        way = progress.of(step, task)
        if tried and not way.passed:
            way.tries += 1
        if passed and not way.passed:
            way.passed = datetime.now().isoformat(timespec="minutes")
    return progress
