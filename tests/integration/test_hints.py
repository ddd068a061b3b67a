"""Hints one by one, the record of what was tried and passed, and the lines that a check shows."""

import json
import re

import pytest

from offload_lab.errors import LabError, NotReadyError, ProcessDiedError, WrongPingError
from offload_lab.exercises import diagnose, hints, progress
from offload_lab.exercises.check import UNENDED, seconds_for_a_test, verdict
from offload_lab.exercises.expectation import UnexpectedResultError, expect
from offload_lab.uwsgi.logs import error_lines

pytestmark = pytest.mark.usefixtures("work")


# --- hints and progress


def test_hints_are_taken_one_by_one_and_the_last_one_stays(step):
    task = step.task("offload_threads")
    rungs = [hints.next_hint(step, task)[0] for _ in range(5)]
    assert rungs == [1, 2, 3, 3, 3]
    assert progress.load().of(step, task).hints == 3


def test_the_answer_is_the_last_fenced_block():
    assert hints.answer_in("one:\n```\nno\n```\nor:\n```\nmaster = true\n    indented\n```\n") == (
        "master = true\n    indented\n"
    )
    assert hints.answer_in("none") == ""


def test_tries_count_until_it_passed_and_a_blank_is_no_try(step):
    task = step.task("offload_threads")
    progress.record_check(step, task, passed=False, tried=False)
    progress.record_check(step, task, passed=False, tried=True)
    assert progress.record_check(step, task, passed=True, tried=True).of(step, task).tries == 2
    when = progress.load().of(step, task).passed
    progress.record_check(step, task, passed=False, tried=True)
    assert progress.load().of(step, task) == progress.TaskRecord(tries=2, hints=0, passed=when)
    assert hints.first_open(step, progress.load()) == step.task("app")


@pytest.mark.parametrize(
    "content", ["", '{"01_file_wrapper": {"bel', "[1, 2]", '{"01": {"offload_threads": {"speed": 3}}}']
)
def test_a_broken_record_is_set_aside_and_a_new_one_begun(step, work, content):
    work.mkdir()
    (work / ".progress.json").write_text(content)
    known = progress.record_check(step, step.tasks[0], passed=True, tried=True)
    assert known.set_aside.read_text() == content
    assert progress.load().of(step, step.tasks[0]).passed
    assert json.loads((work / ".progress.json").read_text())
    assert sorted(path.name for path in work.iterdir()) == sorted(
        [".progress.json", ".progress.lock", known.set_aside.name]
    )


# --- what is said


def test_expect_says_what_was_called_got_and_expected():
    expect("GET /ping", "pong", "pong")
    with pytest.raises(
        UnexpectedResultError, match=r"^called GET /ping, got nothing: worker 4711 is busy, expected pong$"
    ):
        expect("GET /ping", "nothing: worker 4711 is busy", "pong")


def test_the_error_lines_of_a_log_are_found():
    log = "*** Starting uWSGI ***\nunable to load app 0\nclosing all\n*** GAME OVER ***"
    sentence = diagnose.will_not_start(ProcessDiedError("offload", 22, log), 1)
    assert sentence == "offload.ini ended before it answered. Its log says: unable to load app 0"
    sentence = diagnose.will_not_start(NotReadyError("offload", 30, "spawned uWSGI worker 1"), 5)
    assert sentence == "offload.ini lives, and did not answer within 5 s"


def test_a_line_about_a_request_is_never_an_error():
    assert error_lines("[pid: 7|app: 0] GET /error => generated 0 bytes\nunable to load app 0") == [
        "unable to load app 0"
    ]


def test_a_ping_that_is_offloaded_is_a_cause_of_its_own():
    sentence = diagnose.ping_lost(WrongPingError("header", "an empty reply", 1, ""))
    assert re.search(r"was offloaded and got an empty reply: the condition of a route in header\.ini is true", sentence)
    assert diagnose.ping_lost(WrongPingError("header", "500", 0, "")).endswith("got 500: header.ini answered it")
    lost = WrongPingError("header", "no status line", 0, "a long log")
    assert diagnose.in_short(lost).endswith("as if the condition of disableheaders: were true for every request")


def test_a_notebook_shows_only_the_lines_of_a_log_that_say_why():
    log = "spawned uWSGI worker 1\nunable to register route x\nunlink()"
    assert diagnose.in_short(ProcessDiedError("offload", 1, log)).splitlines()[1:] == ["unable to register route x"]
    assert diagnose.in_short(LabError("plain")) == "plain"


@pytest.mark.parametrize(
    ("load", "factor", "outcome", "line"),
    [
        (0.5, "", "failed", "got no end of it within 7 s"),
        (9.0, "", "skipped", "did not end within 10 s on a busy machine (9 processes want 2 cores)"),
        (9.0, "2", "failed", "got no end of it within 12 s"),
    ],
)
def test_an_answer_is_not_called_wrong_because_the_machine_is_busy(load, factor, outcome, line, monkeypatch):
    monkeypatch.setattr("os.getloadavg", lambda: (load, load, load))
    monkeypatch.setattr("os.cpu_count", lambda: 2)
    monkeypatch.setenv("LAB_TIMEOUT_FACTOR", factor)
    got = verdict("offload_threads", UNENDED, (), seconds_for_a_test())
    assert got.outcome == outcome
    assert any(line in shown for shown in got.lines)
