"""The ladder of hints: one rung a call, and the lines themselves at its end."""

import re

from offload_lab.stages.manifest import Step, Task

from .progress import Progress, updating

FENCE = re.compile(r"^[ \t]*```\w*\n(.*?)^[ \t]*```", re.MULTILINE | re.DOTALL)


def next_hint(step: Step, task: Task) -> tuple[int, str]:
    """The next rung, counted from 1, and its words; the last one again when all were taken."""
    with updating() as progress:
        way = progress.of(step, task)
        way.hints = min(way.hints + 1, len(task.hints))
    return way.hints, task.hints[way.hints - 1]


def first_open(step: Step, progress: Progress) -> Task | None:
    """The first task that has not passed yet."""
    return next((task for task in step.tasks if not progress.of(step, task).passed), None)


def answer_in(hint: str) -> str:
    """The lines in the last ``` fence of a hint, empty where there is none."""
    fences: list[str] = FENCE.findall(hint)
    return fences[-1] if fences else ""
