"""The learner's folder without a process: started, filled in, reset, checked, and copied to be tried."""

import shutil
from dataclasses import replace

import pytest

from offload_lab.errors import (
    CheckError,
    RegionError,
    UnknownNameError,
    WorkspaceError,
)
from offload_lab.exercises import diagnose, progress, regions, workspace
from offload_lab.exercises.check import answered
from offload_lab.exercises.sandbox import check_files, sandbox, solutions
from offload_lab.inspect.observe import take_snapshot
from offload_lab.paths import ROOT
from offload_lab.stages import manifest

pytestmark = pytest.mark.usefixtures("work")


# --- the learner's folder


def test_a_learners_folder_has_blanks_and_no_solution(step, work):
    target, given = workspace.start(step)
    assert (target, given) == (work / "01_file_wrapper", [])
    names = {path.name for path in target.iterdir()}
    assert names == {"naive.ini", "file_wrapper.ini", "offload.ini", "naive.py", "file_wrapper.py"}
    assert (target / "naive.py").read_text() == (step.folder / "naive.py").read_text()
    for task in step.tasks:
        assert workspace.answer(step, task) == workspace.blank_lines(task)


def test_a_solved_folder_fills_in_what_is_blank_and_keeps_the_rest(step):
    target, _ = workspace.start(step)
    (target / "naive.py").write_text("# mine\n")
    path = target / "offload.ini"
    path.write_text(regions.fill(path.read_text(), {"offload_threads": "threads = 2"}))
    solved, given = workspace.start(step, solved=True)
    assert (solved, [task.name for task in given]) == (target, ["app", "file_wrapper"])
    assert (target / "naive.py").read_text() == "# mine\n"
    expected = {**solutions(step), "offload_threads": "threads = 2"}
    assert {task.name: workspace.answer(step, task) for task in step.tasks} == expected


def test_a_new_solved_folder_is_the_step(step):
    target, given = workspace.start(step, solved=True)
    assert tuple(given) == step.tasks
    assert (target / "offload.ini").read_text() == (step.folder / "offload.ini").read_text()


def test_a_given_solution_counts_as_passed_only_with_lines_of_ones_own(step):
    task = step.tasks[0]
    progress.record_given(step, [task])
    known = progress.record_check(step, task, passed=True, tried=True, solution=True)
    assert (known.of(step, task).passed, known.of(step, task).tries, bool(known.of(step, task).given)) == ("", 0, True)
    known = progress.record_check(step, task, passed=True, tried=True)
    assert bool(known.of(step, task).passed)
    progress.record_given(step, [task])
    assert not progress.load().of(step, task).given, "passed before"


def test_a_reset_takes_back_what_was_given(step):
    task = step.tasks[0]
    progress.record_given(step, [task])
    progress.forget_given(step, [task])
    known = progress.record_check(step, task, passed=True, tried=True, solution=True)
    assert known.of(step, task).passed


def test_a_folder_is_not_started_twice(step):
    workspace.start(step)
    with pytest.raises(WorkspaceError, match=r"is there already.*\./lab check 01.*\./lab reset 01"):
        workspace.start(step)


def test_a_step_that_was_not_started_has_no_answer(step):
    with pytest.raises(WorkspaceError, match=r"is not there yet; make it with: \./lab start 01"):
        workspace.answer(step, step.tasks[0])


def test_a_reset_of_one_task_leaves_the_others_and_makes_a_backup(step):
    target, _ = workspace.start(step, solved=True)
    kept = workspace.reset(step, step.task("offload_threads"))
    assert workspace.answer(step, step.task("offload_threads")) == workspace.blank_lines(step.task("offload_threads"))
    assert workspace.answer(step, step.task("app")) == solutions(step)["app"]
    assert (kept / "offload.ini").read_text() == (step.folder / "offload.ini").read_text()
    assert kept.parent == target.parent / ".kept"


def test_a_whole_reset_puts_everything_back(step):
    target, _ = workspace.start(step)
    (target / "naive.py").unlink()
    (target / "notes.txt").write_text("mine\n")
    kept = workspace.reset(step)
    assert (target / "naive.py").exists()
    assert not (target / "notes.txt").exists()
    assert (kept / "notes.txt").read_text() == "mine\n"


def spoil_markers(path):
    path.write_text(path.read_text().replace("; >>> offload_threads\n", ""))


def spoil_encoding(path):
    path.write_bytes(b"\xff\xfe")


@pytest.mark.parametrize(
    ("spoil", "error", "says"),
    [
        (spoil_markers, RegionError, r"offload\.ini, line \d+: .* is gone; put the marker lines back"),
        (spoil_encoding, CheckError, r"offload\.ini is no text any more; save it as UTF-8"),
        (lambda path: path.unlink(), CheckError, r"offload\.ini is gone; get it back"),
    ],
)
def test_an_unreadable_file_is_named_with_a_command_that_restores_it(step, spoil, error, says):
    target, _ = workspace.start(step)
    spoil(target / "offload.ini")
    with pytest.raises(error, match=rf"(?s){says}.*\./lab reset 01 offload_threads"):
        check_files(step)
    workspace.reset(step, step.task("offload_threads"))
    check_files(step)


@pytest.mark.parametrize(
    ("file", "content", "says"),
    [
        ("file_wrapper.py", "def application(:\n", r"file_wrapper\.py.*gone"),
        ("naive.py", "\n\ndef application(:\n", r"naive\.py, line 3: Python cannot read it: invalid syntax"),
        ("naive.ini", None, r"naive\.ini is gone; get it back with: \./lab reset 01"),
    ],
)
def test_a_syntax_error_is_named_before_any_process_is_started(step, file, content, says):
    target, _ = workspace.start(step)
    if content is None:
        (target / file).unlink()
    else:
        (target / file).write_text(content)
    with pytest.raises((CheckError, RegionError), match=says):
        check_files(step)


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("file_wrapper.py", b"def application(:\n"),
        ("file_wrapper.py", b"\xff\xfe"),
        ("file_wrapper.py", b"# no marker left\n"),
        ("file_wrapper.py", None),
        ("naive.py", None),
        ("naive.ini", None),
    ],
)
def test_another_tasks_broken_or_missing_file_does_not_fail_a_task(step, file, content):
    target, _ = workspace.start(step, solved=True)
    if content is None:
        (target / file).unlink()
    else:
        (target / file).write_bytes(content)
    check_files(step, step.task("offload_threads"))
    with answered(step, step.task("offload_threads")) as copy:
        assert (copy.folder / file).read_bytes() == (step.folder / file).read_bytes()
    if file == "file_wrapper.py":
        with pytest.raises((CheckError, RegionError), match=r"file_wrapper\.py"):
            check_files(step, step.task("file_wrapper"))


def test_a_file_of_no_task_matters_for_each(step):
    target, _ = workspace.start(step)
    (target / "naive.py").write_text("def application(:\n")
    with pytest.raises(CheckError, match=r"naive\.py, line 1"):
        check_files(step, step.task("offload_threads"))


def test_a_tasks_file_is_the_learners_outside_of_the_markers_too(step):
    target, _ = workspace.start(step)
    with (target / "offload.ini").open("a") as ini:
        ini.write("; mine\n")
    (target / "mine.py").write_text("helps = True\n")
    with answered(step, step.task("offload_threads")) as copy:
        text = (copy.folder / "offload.ini").read_text()
        assert text.endswith("; mine\n")
        assert regions.body(text, "offload_threads") == workspace.blank_lines(step.task("offload_threads"))
        assert regions.body(text, "app") == solutions(step)["app"]
        assert (copy.folder / "mine.py").exists()


def test_an_ini_finds_another_step_from_the_learners_folder_too(step, work, tmp_path):
    shutil.copytree(step.folder, tmp_path / "steps" / step.name)
    ini = tmp_path / "steps" / step.name / "naive.ini"
    ini.write_text(ini.read_text() + "pythonpath = %d../04_websocket\n")
    workspace.start(replace(step, folder=ini.parent))
    assert "pythonpath = %d../../steps/04_websocket\n" in (work / step.name / "naive.ini").read_text()


def test_a_copy_of_a_step_is_found_by_its_path(step):
    target, _ = workspace.start(step)
    found = manifest.find(f"{target}/")
    assert (found.name, found.folder, found.tasks) == (step.name, target, step.tasks)
    with pytest.raises(UnknownNameError):
        manifest.find(f"{target.parent}/02_nowhere")


def test_a_sandbox_is_laid_out_as_the_repository_and_is_removed(step):
    with sandbox(step, answers={"offload_threads": "threads = 2"}) as copy:
        assert regions.body((copy.folder / "offload.ini").read_text(), "offload_threads") == "threads = 2"
        assert (copy.folder / "../..").resolve() == copy.folder.parents[1]
        assert (copy.folder.parents[1] / "offload_lab").resolve() == ROOT / "offload_lab"
        assert [found.name for found in manifest.steps(copy.folder.parent)] == [
            found.name for found in manifest.steps()
        ]
    assert not copy.folder.parents[1].exists()
    assert (ROOT / "offload_lab" / "exercises" / "sandbox.py").exists(), "links were removed, not what they lead to"


def test_a_diagnosis_that_is_cut_short_has_the_logs_last_error(step, monkeypatch):
    def cut_short(stage):
        with stage.front.log.open("a") as log:
            log.write("*** failed to fix ***\n")
        return stage.front.stats_socket.unlink() or take_snapshot(stage.step, stage.variant, stage.run)

    monkeypatch.setattr("steps.01_file_wrapper.lesson.diagnoses.observe", cut_short)
    diagnosis = diagnose.diagnose(step, step.task("offload_threads"))
    assert diagnosis.causes == ()
    assert diagnosis.errors == ("the log of offload says: *** failed to fix ***",)
