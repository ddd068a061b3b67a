"""A learner's way through the exercises, typed as a person would type it."""

import os
import re
import signal
import subprocess
import sys
import tempfile
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from offload_lab.clients import ping
from offload_lab.exercises import regions
from offload_lab.paths import ROOT
from offload_lab.process.polling import wait_for
from offload_lab.process.server_process import free_port
from offload_lab.timeouts import scaled

LAB = [sys.executable, "-m", "offload_lab"]
TASKS = {"offload_threads": "offload.ini", "app": "offload.ini", "file_wrapper": "file_wrapper.py"}


@pytest.fixture
def place(tmp_path):
    """The learner's folders, and temporary ones that a run must leave empty (in a short path: sockets go there)."""
    with tempfile.TemporaryDirectory(prefix="t-") as temporary:
        yield {**os.environ, "LAB_WORK": str(tmp_path / "work"), "TMPDIR": temporary, "COLUMNS": "60"}
        assert [path.name for path in Path(temporary).iterdir()] == []


@pytest.fixture
def lab(place):
    def run(*arguments, status=0):
        answer = subprocess.run(
            [*LAB, *arguments], cwd=ROOT, env=place, capture_output=True, text=True, timeout=scaled(100)
        )
        assert answer.returncode == status, answer.stdout + answer.stderr
        if arguments[0] != "solution":  # code and paths keep their lines
            assert [line for line in answer.stdout.splitlines() if len(line) > 60 and "/" not in line] == []
        return " ".join((answer.stdout + answer.stderr).split()) if status else answer.stdout

    return run


def write(place, task, lines):
    path = Path(place["LAB_WORK"]) / "01_file_wrapper" / TASKS[task]
    path.write_text(regions.fill(path.read_text(), {task: lines}))


@pytest.mark.full
def test_from_the_blanks_by_the_hints_to_the_solution(lab, place):
    assert "./lab check 01" in lab("start", "01")
    failed = lab("check", "01", status=1)
    assert re.search(
        r"offload_threads: not yet called GET /static_file.* got the worker itself.* expected an offload thread", failed
    )
    assert re.search(r"what the processes do: worker \d+ is busy", failed)
    assert "next: ./lab hint 01 offload_threads" in failed
    assert "offload_threads has not passed yet" in lab("solution", "01", status=1)
    for task in TASKS:
        for _ in range(3):
            output = lab("hint", "01", task)
        assert f"{task}, hint 3 of 3" in output
        write(place, task, "\n".join(line for line in output.splitlines() if line.startswith("    ")))
    passed = lab("check", "01")
    assert re.findall(r"^(\w[\w ]*): passed$", passed, re.MULTILINE) == [*TASKS, "all together"]
    assert "yours is the same as the step's, line by line" in lab("solution", "01", "app")
    rows = re.findall(r"01 +(\w+) +\w+ +(\d) +(\d/3) +\d{4}-\d\d-\d\d \d\d:\d\d", lab("progress"))
    assert rows == [(task, "1", "3/3") for task in TASKS]
    assert "all tasks of 01_file_wrapper have passed" in lab("hint", "01")
    assert re.search(r"^3 of \d+ tasks passed\nnext: ./lab start 02 ", lab("progress"), re.MULTILINE)


@pytest.mark.full
def test_progress_ends_with_the_total_and_the_next_task(lab):
    assert re.search(r"^0 of \d+ tasks passed\nnext: ./lab start 01 ", lab("progress"), re.MULTILINE)
    lab("start", "01")
    assert "\nnext: ./lab check 01 offload_threads " in lab("progress")


@pytest.mark.full
def test_a_mistake_is_named_by_what_it_does_and_taken_back_with_reset(lab, place):
    lab("start", "01", "--from-solution")
    write(place, "offload_threads", "threads = 2")
    output = lab("check", "01", "offload_threads", status=1)
    assert re.search(r"worker \d+ has 2 threads that run the app, and one of them sends GET /file", output)
    assert "+offload-threads = 1" in lab("solution", "01", "offload_threads", "--spoil")
    kept = Path(re.search(r"backed up in (\S+)", lab("reset", "01", "offload_threads"))[1])
    assert regions.body((kept / "offload.ini").read_text(), "offload_threads") == "threads = 2"
    assert re.search(r"its only thread sends", lab("check", "01", "offload_threads", status=1))


@pytest.mark.full
def test_another_tasks_broken_file_is_not_blamed(lab, place):
    lab("start", "01", "--from-solution")
    (Path(place["LAB_WORK"]) / "01_file_wrapper" / "file_wrapper.py").write_text("def application(:\n")
    assert "offload_threads: passed" in lab("check", "01", "offload_threads")
    assert "file_wrapper.py" in lab("check", "01", "file_wrapper", status=1)


@pytest.mark.full
def test_answers_that_fail_only_together_are_reported(lab, place):
    """A task is tried beside the others' solutions; in the end all of the learner's own are tried together."""
    lab("start", "01", "--from-solution")
    write(place, "app", "wsgi-file = %dfile_wrapper.py\noffload-threads = 0")
    output = lab("check", "01", status=1)
    assert re.findall(r"(\w+): passed", output) == [*TASKS]
    assert re.search(r"all together: not yet .*an offload thread .*outside of the marked lines", output)


@pytest.mark.parametrize(
    ("arguments", "status", "says"),
    [
        (["check", "01_file_wraper"], 2, "did you mean 01_file_wrapper"),
        (
            ["hint", "01", "ofload_threads"],
            2,
            "01_file_wrapper has no task 'ofload_threads'; did you mean offload_threads?",
        ),
        (["check", "01"], 1, "make it with: ./lab start 01"),
        (["watch", "01"], 1, "make it with: ./lab start 01"),
        (["reset", "01"], 1, "make it with: ./lab start 01"),
        (["check", "07"], 1, "make it with: ./lab start 07 1"),
        (["reset", "07"], 2, "name one server of 07_pitfalls"),
        (["start", "07", "23"], 2, "07_pitfalls has no server '23'"),
        (["start", "01", "12"], 2, "01_file_wrapper has no servers"),
    ],
)
def test_a_wrong_or_early_command_is_answered_with_the_next_step(lab, arguments, status, says):
    assert says in lab(*arguments, status=status)


class Foreground:
    """A command in the foreground, as in a terminal; `end` is Ctrl-C."""

    def __init__(self, place, *arguments):
        self.process = subprocess.Popen(
            [*LAB, *arguments], cwd=ROOT, env=place, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        self.family = psutil.Process(self.process.pid)

    def until(self, text):
        """What it prints, up to the line that holds `text`."""
        output = ""
        for line in self.process.stdout:
            output += line
            if text in line:
                return output
        raise AssertionError(f"it ended before it said {text!r}: {output}")

    def end(self):
        """Everything that ran below it when it was told to end; nothing of it may be left."""
        below = self.family.children(recursive=True)
        self.process.send_signal(signal.SIGINT)
        output = self.process.communicate(timeout=scaled(60))[0]
        # Python itself ends by the signal where it came within an exec(), as dataclasses do while a module is imported
        assert self.process.returncode in (130, -signal.SIGINT), output
        assert "nothing is left running" in output
        assert not any(process.is_running() and process.status() != psutil.STATUS_ZOMBIE for process in below)
        return below

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.communicate()


@pytest.mark.full
def test_ctrl_c_in_a_check_leaves_nothing_running(lab, place):
    lab("start", "01")
    app = Path(place["LAB_WORK"]) / "01_file_wrapper" / "naive.py"
    app.write_text("import threading\ndef application(*_):\n    threading.Event().wait()\n")  # so that the check lasts
    with Foreground(place, "check", "01") as check:
        wait_for(lambda: "uwsgi" in names_below(check), 60, "a uWSGI of the check's")
        assert check.end()


def names_below(foreground):
    with suppress(psutil.NoSuchProcess):  # one has ended meanwhile
        return [process.name() for process in foreground.family.children(recursive=True)]
    return []


@pytest.mark.full
def test_a_watch_checks_at_each_save_and_ends_with_ctrl_c(lab, place):
    lab("start", "01")
    with Foreground(place, "watch", "01", "offload_threads") as watch:
        assert "offload_threads: not yet" in watch.until("waiting for you to save")
        write(place, "offload_threads", "offload-threads = 1")
        assert "offload_threads: passed" in watch.until("waiting for you to save")
        app = Path(place["LAB_WORK"]) / "01_file_wrapper" / "naive.py"
        app.write_text("def application(:\n")
        assert "naive.py, line 1" in " ".join(watch.until("waiting for you to save").split())
        watch.end()


@pytest.mark.full
def test_a_learners_stage_runs_in_the_foreground(lab, place):
    lab("start", "01")
    folder, port = Path(place["LAB_WORK"]) / "01_file_wrapper", free_port()
    with Foreground(place, "run", str(folder), "offload", "--port", str(port)) as run:
        assert str(folder / "offload.ini") in run.until("Ctrl-C ends it")
        assert ping(port, timeout_s=20).status == 200
        run.end()


@pytest.mark.full
def test_a_sick_server_runs_in_the_foreground(lab, place):
    port = free_port()
    with Foreground(place, "start", "07", "6", "--port", str(port)) as run:
        output = run.until("Ctrl-C ends it")
        assert "07_server_06/front.ini" in output
        assert "open_stats" not in output
        assert ping(port, timeout_s=20).status == 200
        assert "front-stats.sock" in output
        run.end()
