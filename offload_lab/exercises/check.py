"""Run a step's task tests against a learner's files, task by task and then all together."""

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
from offload_lab.stages.manifest import steps_folder
from offload_lab.stages.step import Step, Task
from offload_lab.timeouts import VARIABLE, load_factor, scaled

from . import workspace
from .diagnose import Diagnosis, diagnose
from .ini_causes import ini_causes
from .sandbox import check_files, sandbox, solutions

PREFIX = "test_task_"
LIMIT_S = 11  # for a task's test and its diagnosis; 15 with Python's start and the killing of what they started
TIMEOUT_S = 6  # of these for the test, more on a busy machine; it needs about two
START_S = 1  # for pytest to begin
BUSY = 2.0  # from this factor on, a test that does not end says nothing about an answer
UNENDED = "unended"
UNENDED_ROW: dict[str, Any] = {"outcome": UNENDED, "lines": [], "log": []}
RUNNER = (sys.executable, "-P", "-m", "offload_lab.exercises.pytest_runner")
TOGETHER = "all together"
ALONE_ONLY = (
    "each task passes beside the others' solutions, but not all of yours together: look at what you changed outside of"
    " the marked lines"
)


@dataclass(frozen=True)
class Verdict:
    """The result of one task's test. `lines`: what was called, got and expected, or the error's text; of a task that
    passed what is not told on this system.

    `started` is False if the INI has a mistake, so that no process was started; `lines` then has the mistake.
    """

    task: str
    outcome: str  # "passed", "failed", "skipped"
    lines: tuple[str, ...] = ()
    started: bool = True
    deadline: Deadline | None = None  # of the whole check, of which the diagnosis has the rest

    @property
    def passed(self) -> bool:
        return self.outcome == "passed"


def check(step: Step, only: Task | None = None) -> Iterator[Verdict]:
    """Yield the verdict of each task when its test ends; if all pass, also that of all answers together.

    Raises: CheckError or RegionError where the learner's files cannot be tested.
    """
    check_files(step, only)
    all_passed = True
    for task in [only] if only else step.tasks:
        deadline = Deadline(LIMIT_S)
        with answered(step, task) as copy:
            causes = ini_causes(copy, task)
            if causes:
                found = Verdict(task.name, "failed", tuple(cause.sentence for cause in causes), started=False)
            else:
                [found] = try_out(copy, [task.name])
        all_passed = all_passed and found.passed
        yield replace(found, deadline=deadline)
    if all_passed and not only:
        yield together(step)


def answered(step: Step, task: Task) -> AbstractContextManager[Step]:
    """A copy of the learner's folder with only their answer to `task`; all other tasks are solved."""
    same_file = {other.name for other in step.tasks if other.file == task.file and other.name != task.name}
    answers = {name: lines for name, lines in solutions(step).items() if name in same_file}
    return sandbox(step, workspace.folder(step), answers, only=task)


def together(step: Step) -> Verdict:
    with sandbox(step, workspace.folder(step)) as copy:
        verdicts = try_out(copy, [task.name for task in step.tasks])
    failed = [verdict for verdict in verdicts if not verdict.passed]
    if not failed:
        return Verdict(TOGETHER, "passed")
    return Verdict(TOGETHER, failed[0].outcome, (*failed[0].lines, ALONE_ONLY))


def diagnose_answer(step: Step, task: Task, deadline: Deadline | None) -> Diagnosis:
    """Why the learner's answer to `task` is wrong, with all other tasks solved."""
    with answered(step, task) as copy:
        return diagnose(copy, copy.task(task.name), deadline)


def try_out(copy: Step, tasks: Sequence[str]) -> list[Verdict]:
    """Run the tests of the named tasks on `copy`, a step in a sandbox.

    A test that does not end in time is killed with all processes that it started: it fails, or on a busy machine
    counts as skipped.

    Raises: CheckError with pytest's output where a test did not run.
    """
    seconds = seconds_for_a_test()
    tests = [f"{steps_folder() / copy.name / 'tests' / 'test_tasks.py'}::{PREFIX}{name}" for name in tasks]
    run = run_pytest(copy, tests, seconds_each=seconds, seconds_for_all=START_S + seconds * len(tasks))
    results = dict.fromkeys(tasks, UNENDED_ROW) | run.results if run.cut else run.results
    missing = [name for name in tasks if name not in results]
    if missing:
        raise CheckError(f"the tests of {', '.join(missing)} did not run; pytest says:\n{run.log}")
    return [verdict(name, results[name]["outcome"], results[name]["lines"], seconds) for name in tasks]


@dataclass(frozen=True)
class PytestRun:
    """`results`: a row for each test that ran, by its name. `cut`: it did not end in time and was killed."""

    results: dict[str, dict[str, Any]]
    cut: bool
    log: str


def run_pytest(copy: Step, arguments: Sequence[str], *, seconds_each: float, seconds_for_all: float) -> PytestRun:
    """Run tests on `copy`, a step in a sandbox, and end all processes that they started. The seconds are as given."""
    root = copy.folder.parents[1]
    result = root / "result.json"
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    with Process(
        "the check",
        [*RUNNER, str(result), str(seconds_each), *arguments],
        log=root / "check.log",
        scratch=root,
        env={**inherited, "LAB_STEPS": str(copy.folder.parent), "TMPDIR": str(root)},  # the supervisor removes it
        grace_s=0,
    ) as pytest:
        cut = False
        try:
            pytest.wait_ended(Deadline(seconds_for_all / scaled(1)))
        except StillRunningError:
            cut = True
        return PytestRun(json.loads(result.read_text()) if result.exists() else {}, cut, pytest.log_tail(40))


def seconds_for_a_test() -> float:
    """On a busy machine it gets what the diagnosis would have had, which could see nothing in so short a time."""
    if os.environ.get(VARIABLE):
        return scaled(TIMEOUT_S)
    return min(TIMEOUT_S * load_factor(), LIMIT_S - START_S)


def verdict(task: str, outcome: str, lines: Sequence[str], seconds: float) -> Verdict:
    if outcome != UNENDED:
        return Verdict(task, outcome, tuple(lines))
    load, processors, factor = os.getloadavg()[0], os.cpu_count() or 1, load_factor()
    if factor < BUSY or os.environ.get(VARIABLE):
        no_end = f"got no end of it within {seconds:.0f} s"
        return Verdict(task, "failed", ("called the task's test", no_end, "expected an answer"))
    cut = (
        f"its test did not end within {seconds:.0f} s on a busy machine ({load:.0f} processes want {processors} cores)"
    )
    again = f"try again (in a notebook: run the cell again), or give it longer: {VARIABLE}={factor:.0f} ./lab check …"
    return Verdict(task, "skipped", (cut, again))
