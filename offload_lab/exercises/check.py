"""Does it work? A step's task tests against a learner's folder, task by task and then all together."""

import json
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from typing import Any

from offload_lab.errors import CheckError, StillRunningError
from offload_lab.process.deadlines import Deadline
from offload_lab.process.process import Process
from offload_lab.stages.manifest import Step, Task, steps_folder

from . import workspace
from .diagnose import Diagnosis, diagnose
from .ini_facts import ini_facts
from .sandbox import inspect, scratch, solutions

PREFIX = "test_task_"
LIMIT_S = (
    13  # for a task's test and its diagnosis: 15 with the start of the command and the killing of what they started
)
TIMEOUT_S = 7  # of these for the test; it needs about two
START_S = 1  # for pytest to begin
TOGETHER = "all together"
ALONE_ONLY = (
    "each task passes beside the others' solutions, but not all of yours together: look at what you changed outside of"
    " the marked lines"
)


@dataclass(frozen=True)
class Verdict:
    """What one task's test said: `lines` are what was called, got and expected, or the error in its own words.
    Not `started`: the lines are what the task's INI says by itself, and no process was tried."""

    task: str
    outcome: str  # "passed", "failed", "skipped"
    lines: tuple[str, ...] = ()
    started: bool = True
    deadline: Deadline | None = None  # of the whole check, of which the diagnosis has the rest

    @property
    def passed(self) -> bool:
        return self.outcome == "passed"


def check(step: Step, only: Task | None = None) -> Iterator[Verdict]:
    """One verdict a task, as they come; when all pass, one more for all of the learner's answers together.

    Raises CheckError or RegionError where the folder cannot be tried.
    """
    inspect(step, only)
    all_passed = True
    for task in [only] if only else step.tasks:
        deadline = Deadline(LIMIT_S)
        with answered(step, task) as copy:
            facts = ini_facts(copy, task)
            if facts:
                verdict = Verdict(task.name, "failed", tuple(fact.words for fact in facts), started=False)
            else:
                [verdict] = try_out(copy, [task.name])
        all_passed = all_passed and verdict.passed
        yield replace(verdict, deadline=deadline)
    if all_passed and not only:
        yield together(step)


def answered(step: Step, task: Task) -> AbstractContextManager[Step]:
    """A copy of the learner's folder in which only their answer to `task` is tried: other tasks' files are the step's,
    and where they share its file the solutions stand in it."""
    beside = {one.name for one in step.tasks if one.file == task.file and one.name != task.name}
    answers = {name: lines for name, lines in solutions(step).items() if name in beside}
    return scratch(step, workspace.folder(step), answers, only=task)


def together(step: Step) -> Verdict:
    with scratch(step, workspace.folder(step)) as copy:
        verdicts = try_out(copy, [task.name for task in step.tasks])
    failed = [verdict for verdict in verdicts if not verdict.passed]
    if not failed:
        return Verdict(TOGETHER, "passed")
    return Verdict(TOGETHER, failed[0].outcome, (*failed[0].lines, ALONE_ONLY))


def diagnose_answer(step: Step, task: Task, deadline: Deadline | None) -> Diagnosis:
    """What the learner's answer to `task` makes the processes do, beside the other tasks' solutions."""
    with answered(step, task) as copy:
        return diagnose(copy, copy.task(task.name), deadline)


def try_out(copy: Step, tasks: Sequence[str]) -> list[Verdict]:
    """The verdicts of the named tasks' tests on `copy`, a step in a scratch folder.

    A test that does not end in time fails: it is killed with all that it started. Raises CheckError with pytest's
    words where a test did not run at all.
    """
    root = copy.folder.parents[1]
    tests = [f"{steps_folder() / copy.name / 'tests' / 'test_tasks.py'}::{PREFIX}{name}" for name in tasks]
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    with Process(
        "the check",
        [sys.executable, "-P", "-m", "offload_lab.exercises.pytest_runner", str(root / "result.json"), *tests],
        log=root / "check.log",
        scratch=root,
        env={**inherited, "LAB_STEPS": str(copy.folder.parent), "TMPDIR": str(root)},  # whatever ends it, all goes
        grace_s=0,
    ) as trial:
        limit = Deadline(START_S + TIMEOUT_S * len(tasks))
        said: dict[str, dict[str, Any]] = {}
        try:
            trial.wait_ended(limit)
        except StillRunningError:
            said = {name: {"outcome": "failed", "said": no_end_within(limit.seconds)} for name in tasks}
        if (root / "result.json").exists():
            said |= json.loads((root / "result.json").read_text())
        missing = [name for name in tasks if name not in said]
        if missing:
            raise CheckError(f"the tests of {', '.join(missing)} did not run; pytest says:\n{trial.log_tail(40)}")
    return [Verdict(name, said[name]["outcome"], tuple(said[name]["said"])) for name in tasks]


def no_end_within(seconds: float) -> list[str]:
    return ["called the task's test", f"got no end of it within {seconds:g} s", "expected an answer"]
