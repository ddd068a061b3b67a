"""The hints of an exercise, one more at each call; the last one has the lines themselves."""

import re

from offload_lab.stages.step import Exercise, Server, Step

from . import servers
from .progress import Progress, updating

FENCE = re.compile(r"^[ \t]*```\w*\n(.*?)^[ \t]*```", re.MULTILINE | re.DOTALL)


def all_hints(step: Step, task: Exercise) -> tuple[str, ...]:
    return servers.hints(step, task) if isinstance(task, Server) else task.hints


def next_hint(step: Step, task: Exercise) -> tuple[int, str]:
    """The number of the next hint, from 1, and its text; the last one again when all were taken."""
    hints = all_hints(step, task)
    with updating() as progress:
        record = progress.of(step, task)
        record.hints = min(record.hints + 1, len(hints))
    return record.hints, hints[record.hints - 1]


def first_open(step: Step, progress: Progress) -> Exercise | None:
    """The first that has neither passed nor been given."""
    return next((task for task in step.exercises if progress.of(step, task).open), None)


def answer_in(hint: str) -> str:
    """The lines in the last ``` fence of a hint, empty where there is none."""
    fences: list[str] = FENCE.findall(hint)
    return fences[-1] if fences else ""
