"""Every task of every step, on real processes: its blank fails, its last hint passes, and each of its mistakes is
recognised by what it does.

That the solution passes is proved by the step's own tests. Blanks need no proof of being up to date: they are made from
the step whenever somebody starts it, and nothing generated is kept in the repository.
"""

import ast
import re
from dataclasses import replace

import psutil
import pytest

from offload_lab.errors import MissingDependencyError
from offload_lab.exercises.check import PREFIX, TIMEOUT_S, try_out
from offload_lab.exercises.diagnose import Diagnosis, diagnose
from offload_lab.exercises.hints import answer_in
from offload_lab.exercises.sandbox import sandbox
from offload_lab.process.deadlines import Deadline
from offload_lab.stages import manifest
from offload_lab.stages.step import TASK_KINDS
from offload_lab.system import NOT_TOLD
from offload_lab.testing import require
from offload_lab.timeouts import VARIABLE
from offload_lab.uwsgi import binary

STEPS = [step for step in manifest.steps() if step.tasks]
TASKS = [(step.name, task.name) for step in STEPS for task in step.tasks]
MISTAKES = [(step.name, task.name, mistake.name) for step in STEPS for task in step.tasks for mistake in task.mistakes]
# what is observed of a variant is the same for all tasks that share its diagnoses
VISITS = {(step.name, task.diagnoses, task.variant): task.name for step in STEPS for task in step.tasks}

every_step = pytest.mark.parametrize("step", [step.name for step in STEPS])
every_task = pytest.mark.parametrize(("step", "task"), TASKS)
FIRST = {(step.name, step.tasks[0].name) for step in STEPS}
one_task_a_step_is_quick = pytest.mark.parametrize(
    ("step", "task"), [task if task in FIRST else pytest.param(*task, marks=pytest.mark.full) for task in TASKS]
)


def find(step, task):
    """The step and the task; the test is skipped where its variant cannot run here."""
    found = manifest.find(step)
    chosen = found.task(task)
    try:
        binary.find_able(found.variant(chosen.variant).needs)
    except MissingDependencyError as missing:
        require(False, missing.what, missing.install)
    return found, chosen


def tried(copy, task):
    """The verdict on one task; skips where the task's own test does, which may need more than its variant."""
    [verdict] = try_out(copy, [task.name])
    if verdict.outcome == "skipped":
        require(False, *re.fullmatch(r"Skipped: (.+) is missing; install it with: (.+)", verdict.lines[0]).groups())
    return verdict


@every_step
def test_a_step_has_its_tasks_in_the_order_of_their_kinds(step):
    tasks = manifest.find(step).tasks
    kinds = [TASK_KINDS.index(task.kind) for task in tasks]
    assert len(tasks) >= 3
    assert kinds == sorted(kinds)


@every_task
def test_a_task_has_three_hints_two_mistakes_and_an_answer_at_the_end(step, task):
    task = manifest.find(step).task(task)
    assert len(task.hints) >= 3
    assert len(task.mistakes) >= 2
    assert answer_in(task.hints[-1])
    assert [hint for hint in task.hints[:-1] if answer_in(hint)] == [], "the answer is the last rung"
    assert "TODO" in task.blank


@every_step
def test_each_task_has_its_test_and_each_test_its_task(step):
    found = manifest.find(step)
    tree = ast.parse((found.folder / "tests" / "test_tasks.py").read_text())
    tests = [node.name for node in tree.body if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")]
    assert sorted(tests) == sorted(f"{PREFIX}{task.name}" for task in found.tasks)


@one_task_a_step_is_quick
def test_a_blank_fails_at_its_own_task(step, task):
    step, task = find(step, task)
    with sandbox(step, answers={task.name: task.blank}) as copy:
        verdict = tried(copy, task)
    assert verdict.outcome == "failed"
    assert [line.partition(" ")[0] for line in verdict.lines] == ["called", "got", "expected"]
    assert verdict.lines[0] != f"called the start of {task.variant}.ini", "a blank starts, and behaves wrongly"


@one_task_a_step_is_quick
def test_the_last_hint_passes_beside_the_blanks_of_all_others(step, task):
    step, task = find(step, task)
    blanks = {other.name: other.blank for other in step.tasks}
    with sandbox(step, answers=blanks | {task.name: answer_in(task.hints[-1])}) as copy:
        verdict = tried(copy, task)
    assert verdict.passed, verdict.lines


@pytest.mark.full
@pytest.mark.parametrize(("step", "task", "mistake"), MISTAKES)
def test_a_mistake_fails_and_is_recognised_as_itself_alone(step, task, mistake, monkeypatch):
    step, task = find(step, task)
    [mistake] = [known for known in task.mistakes if known.name == mistake]
    with sandbox(step, answers={task.name: mistake.answer}) as copy:
        with monkeypatch.context() as quick:
            if mistake.diagnosis == "text_spins":  # its test never ends, on a busy machine or not
                quick.setenv(VARIABLE, "1")
            verdict = tried(copy, task)
        diagnosis = diagnose(copy, copy.task(task.name))
    if mistake.diagnosis in [cause.id for cause in diagnosis.untold]:  # never on Linux
        assert verdict.outcome == "failed" or NOT_TOLD in "".join(verdict.lines)
        assert NOT_TOLD in "".join(diagnosis.sentences)
        return
    assert verdict.outcome == "failed", verdict.lines
    assert [cause.id for cause in diagnosis.causes] == [mistake.diagnosis], diagnosis


NEVER_RETURNS = """
import subprocess

subprocess.run(["python3", "-c", {child!r}])
"""
ASKED = """
import os, pathlib, signal
signal.signal(signal.SIGTERM, lambda *_: pathlib.Path({folder!r}, "asked").touch())
pathlib.Path({folder!r}, str(os.getpid())).touch()
while True:
    signal.pause()
"""


@pytest.mark.full
def test_a_test_that_does_not_end_is_killed_at_the_limit(tmp_path):
    """Neither the test nor the diagnosis waits for the app, or for a child of it that answers no SIGTERM."""
    step, _ = find("01_file_wrapper", "file_wrapper")
    answer = NEVER_RETURNS.format(child=ASKED.format(folder=str(tmp_path)))
    with sandbox(step, answers={"file_wrapper": answer}) as copy:
        [verdict] = try_out(copy, ["file_wrapper"])
        diagnosis = diagnose(copy, copy.task("file_wrapper"), Deadline(TIMEOUT_S))
    assert verdict.lines[1].startswith("got no end of it within")
    assert [cause.id for cause in diagnosis.causes] == ["busy"]
    started = {path.name for path in tmp_path.iterdir()}
    assert "asked" not in started
    assert len(started) >= 2, "one at least in the test, one in the diagnosis"
    assert not [pid for pid in started if psutil.pid_exists(int(pid))]


@pytest.mark.full
@pytest.mark.parametrize(("step", "visit", "variant"), VISITS)
def test_a_right_answer_matches_no_diagnosis(step, visit, variant):
    step, task = find(step, VISITS[step, visit, variant])
    with sandbox(step) as copy:
        diagnosis = diagnose(copy, copy.task(task.name))
    assert replace(diagnosis, untold=()) == Diagnosis(())
