"""The hints of a task, one more at each call; the last one has the lines themselves."""

import re

from offload_lab.stages.manifest import Step, Task

from .progress import Progress, updating

FENCE = re.compile(r"^[ \t]*```\w*\n(.*?)^[ \t]*```", re.MULTILINE | re.DOTALL)


def next_hint(step: Step, task: Task) -> tuple[int, str]:
    """The number of the next hint, from 1, and its text; the last one again when all were taken."""
    with updating() as progress:
        record = progress.of(step, task)
        record.hints = min(record.hints + 1, len(task.hints))
    return record.hints, task.hints[record.hints - 1]


def first_open(step: Step, progress: Progress) -> Task | None:
    """The first task that has not passed yet."""
    return next((task for task in step.tasks if not progress.of(step, task).passed), None)


def answer_in(hint: str) -> str:
    """The lines in the last ``` fence of a hint, empty where there is none."""
    fences: list[str] = FENCE.findall(hint)
    return fences[-1] if fences else ""
