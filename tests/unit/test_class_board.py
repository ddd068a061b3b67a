"""The class board without processes: what a seat may send, how events become boards, and what a seat keeps on disk."""

import ast
import json

import pytest

from offload_lab.classroom import dots, keys, table
from offload_lab.classroom.board import HIDDEN, MEASURED, Board
from offload_lab.classroom.messages import (
    LARGEST,
    LONGEST_NICKNAME,
    MOST_MESSAGES,
    SMALLEST,
    Known,
    MessageError,
    checked,
    nickname,
    sentence,
)
from offload_lab.classroom.news import queue_news
from offload_lab.classroom.outbox import Outbox, load
from offload_lab.classroom.place import place
from offload_lab.classroom.questions import Question, questions
from offload_lab.classroom.seat import checked_url
from offload_lab.course.agenda import plan
from offload_lab.errors import LabError
from offload_lab.exercises import progress
from offload_lab.measure.guesses import keep_guess
from offload_lab.paths import ROOT
from offload_lab.stages import manifest

KNOWN = Known(frozenset({"00_start"}), frozenset({("01_file_wrapper", "wrap")}), sections=3)
GUESS = {"sequence": 1, "kind": "guess", "notebook": "00_start", "guess": 5, "measured": 1500.5}
TASK = {
    "sequence": 2,
    "kind": "task",
    "step": "01_file_wrapper",
    "task": "wrap",
    "tries": 3,
    "hints": 1,
    "state": "open",
}


def board_of(*events, at=0.0):
    board = Board()
    for kind, data in events:
        board.apply(kind, data, at)
    return board


def joined(*names):
    return [("joined", {"seat": name, "nickname": name}) for name in names]


def guessed(seat, guess, measured=None, notebook="00_start"):
    return "guess", {"seat": seat, "notebook": notebook, "guess": guess, "measured": measured}


def tried(seat, tries, state="open", hints=0):
    fields = {"step": "01_file_wrapper", "task": "wrap", "tries": tries, "hints": hints, "state": state}
    return "task", {"seat": seat, **fields}


# --- messages


@pytest.mark.parametrize("message", [GUESS, TASK, {"sequence": 3, "kind": "hand", "up": True}])
def test_a_message_of_a_known_kind_is_taken(message):
    sequence, kind, fields = checked(message, KNOWN)
    assert {"sequence": sequence, "kind": kind, **fields} == message
    assert sentence(kind, fields)


@pytest.mark.parametrize(
    "message",
    [
        None,
        [],
        {},
        {**GUESS, "sequence": 0.5},
        {**GUESS, "sequence": MOST_MESSAGES + 1},
        {**GUESS, "sequence": -1},
        {**GUESS, "kind": ["guess"]},
        {**GUESS, "kind": "joined"},
        {**GUESS, "path": "/home/ada"},
        {**GUESS, "notebook": "secrets"},
        {**GUESS, "notebook": ["00_start"]},
        {**GUESS, "guess": float("inf")},
        {**GUESS, "guess": "5"},
        {**GUESS, "guess": True},
        {**GUESS, "guess": -1},
        {**GUESS, "guess": 5e-324},
        {**GUESS, "measured": 1e300},
        {**GUESS, "measured": 10**400},
        {**TASK, "task": "unknown"},
        {**TASK, "tries": -1},
        {**TASK, "state": "<b>"},
        {**TASK, "state": ["open"]},
        {"sequence": 1, "kind": "hand", "up": 1},
        {"sequence": 1, "kind": "seen", "section": 3},
    ],
    ids=str,
)
def test_any_other_message_is_refused_with_a_reason(message):
    with pytest.raises(MessageError, match=r"."):
        checked(message, KNOWN)


@pytest.mark.parametrize("name", ["", "   ", None, 5, "x" * (LONGEST_NICKNAME + 1), "a\x1b[31m", "a\u202eb"])
def test_a_nickname_is_short_and_can_be_shown(name):
    with pytest.raises(MessageError, match="nickname"):
        nickname(name)


def test_spaces_around_a_nickname_do_not_count():
    assert nickname("  Ada   L. ") == "Ada L."


@pytest.mark.parametrize("url", ["", "ada", "127.0.0.1:9090", "ftp://host/", "http://", "http://host:x/", "http://h/x"])
def test_what_is_no_address_of_a_class_is_named(url):
    with pytest.raises(LabError, match=r"is no address of a class; it looks like http://"):
        checked_url(url)


# --- keys


def test_each_token_is_its_own_and_the_code_can_be_read_aloud():
    secrets = [keys.board_token("k", "teacher"), keys.board_token("k", "projector"), keys.seat_token("k", "ab" * 16)]
    assert len({*secrets, keys.board_token("other", "teacher")}) == 4
    assert len(keys.code("k")) == keys.CODE_LENGTH
    assert set(keys.code("k")) <= set(keys.LETTERS)
    assert keys.same(secrets[0], secrets[0])
    assert not any(keys.same(given, secrets[0]) for given in ("", None, secrets[1], "ü"))


# --- the board


def test_the_first_guess_counts_and_the_median_is_what_was_measured():
    board = board_of(*joined("a", "b"), guessed("a", 5, 100.0), guessed("b", 3, 300.0), guessed("a", 200, 100.0))
    assert board.guesses("00_start") == [3, 5]
    assert board.measured("00_start") == 200


def test_messages_of_a_seat_that_has_not_joined_change_nothing():
    assert not board_of(guessed("not joined", 5)).seats


def test_guesses_are_hidden_until_the_teacher_reveals_them():
    board = board_of(*joined("a"), guessed("a", 5))
    assert board.stage("00_start") == HIDDEN
    board.apply("reveal", {"notebook": "00_start", "stage": MEASURED}, 1.0)
    assert board.stage("00_start") == MEASURED


def test_intuition_counts_by_kind_and_uses_the_classs_measurement_for_a_phone():
    asked = [Question("00_start", "?", "ms", "waiting"), Question("memory", "?", "MiB", "memory")]
    events = [guessed("a", 5, 100.0), guessed("b", 100), guessed("c", 1000, 100.0), guessed("a", 64, None, "memory")]
    [row] = board_of(*joined("a", "b", "c"), *events).intuition(asked)
    assert (row.kind, row.small, row.right, row.large, row.times_off) == ("waiting", 1, 1, 1, "10.0 times")


def test_the_row_says_whether_the_shown_question_is_guessed_but_not_what():
    refused = ("refused", {"seat": "b", "sequence": 1, "notebook": "00_start"})
    board = board_of(*joined("a", "b", "c"), guessed("a", 5), refused, ("show", {"what": "00_start"}))
    assert [row.guess.text for row in table.rows(board, [], now=0.0)] == ["✓", "not taken", ""]
    board.apply(*guessed("b", 7), 1.0)
    assert [row.guess.text for row in table.rows(board, [], now=1.0)] == ["✓", "✓", ""]


def test_three_failed_tries_are_amber_until_the_task_passes():
    column = [table.Column("01_file_wrapper", "wrap", "01 1", "")]
    for tries, state, amber in ((2, "open", False), (3, "open", True), (4, "passed", False), (4, "given", False)):
        [row] = table.rows(board_of(*joined("a"), tried("a", tries, state)), column, now=0.0)
        assert row.amber is amber


def test_five_silent_minutes_are_amber_until_the_seat_says_something():
    board = board_of(*joined("a"))
    assert [row.silent for row in table.rows(board, [], now=299.0)] == [0]
    assert [(row.silent, row.amber) for row in table.rows(board, [], now=301.0)] == [(5, True)]
    board.apply("hand", {"seat": "a", "up": True}, 301.0)
    assert [(row.silent, row.hand) for row in table.rows(board, [], now=302.0)] == [(0, True)]


def test_the_columns_are_the_tasks_of_the_present_step_and_of_those_begun():
    steps = manifest.steps()
    board = board_of(*joined("a"), tried("a", 1))
    shown = {column.step for column in table.columns(board, steps, "03_sse_offload")}
    assert shown == {"01_file_wrapper", "03_sse_offload"}


def test_seen_counts_seats_and_only_for_their_section():
    board = board_of(*joined("a", "b"), ("seen", {"seat": "a", "section": 2}), ("section", {"section": 2}))
    assert (board.seen_by(board.section), board.seen_by(1)) == (1, 0)


def test_a_lowered_hand_is_lowered_for_that_seat_only():
    raised = [("hand", {"seat": name, "up": True}) for name in "ab"]
    board = board_of(*joined("a", "b"), *raised, ("lower", {"seat_number": 2}))
    assert [seat.hand for seat in board.seats.values()] == [True, False]


def test_the_place_in_the_timetable_knows_how_late_the_class_is():
    timetable = plan(manifest.steps(), 90)
    first = timetable.entries[0]
    assert place(timetable, 0, 60.0 * first.end).late_min == 0
    assert place(timetable, 0, 60.0 * (first.end + 4)).late_min == 4
    assert place(timetable, 0, 0.0).landmark == first.section.landmark


# --- the dot plot


@pytest.mark.parametrize(
    ("guesses", "measured"),
    [
        ([], None),
        ([0], None),
        ([0, 0], 0.0),
        ([5], 1500.0),
        ([0, 1e9], 3.0),
        ([7] * 100, 7.0),
        ([0.001, 0.5], None),
        ([SMALLEST], LARGEST),
        ([SMALLEST], None),
    ],
    ids=str,
)
def test_every_dot_and_the_line_stand_on_the_picture(guesses, measured):
    plot = dots.dot_plot(guesses, measured)
    assert len(plot.dots) == len(guesses)
    places = [x for x, _ in plot.dots] + [x for x, _ in plot.ticks] + ([] if plot.line is None else [plot.line])
    assert all(dots.LEFT - 1 <= x <= dots.RIGHT + 1 for x in places)
    assert all(0 <= y <= dots.BASE for _, y in plot.dots)
    assert len(set(plot.dots)) == len(guesses), "no dot hides another"
    assert (plot.line is None) is (measured is None)


# --- what the seat says, and keeps


@pytest.fixture
def learner(tmp_path, monkeypatch):
    monkeypatch.setenv("LAB_WORK", str(tmp_path / "work"))
    monkeypatch.setenv("LAB_RESULTS", str(tmp_path / "results"))


def test_each_thing_is_told_once_and_again_only_when_it_changes(learner):
    step = manifest.find("01")
    outbox = Outbox("http://host", "CODE", "ada")
    keep_guess("00_start", "?", 5, float("inf"), "ms")
    progress.record_check(step, step.tasks[0], passed=False, tried=True)
    kinds = [kind for _, kind, _ in queue_news(outbox)]
    assert kinds == ["guess", "task"]
    assert queue_news(outbox) == []
    progress.record_check(step, step.tasks[0], passed=True, tried=True)
    [(_, _, fields)] = queue_news(outbox)
    assert (fields["tries"], fields["state"]) == (2, "passed")
    assert [message["sequence"] for message in outbox.waiting] == [1, 2, 3]
    known = Known(
        frozenset(question.notebook for question in questions()), frozenset({(step.name, step.tasks[0].name)}), 1
    )
    assert [checked(message, known)[1] for message in outbox.waiting] == ["guess", "task", "task"]
    assert json.loads(json.dumps(outbox.waiting, allow_nan=False)) == outbox.waiting


def test_the_outbox_is_on_disk_and_belongs_to_one_class(learner):
    outbox = Outbox("http://host", "CODE", "ada")
    outbox.add("hand", "hand", {"up": True})
    outbox.save()
    assert load("http://host", "CODE") == outbox
    assert load("http://host", "OTHER") is None


# --- the questions


def test_every_question_of_the_notebooks_is_known_with_its_unit():
    asked = {}
    for path in (ROOT / "notebooks").glob("*.ipynb"):
        cells = [cell for cell in json.loads(path.read_text())["cells"] if cell["cell_type"] == "code"]
        for cell in cells:
            if "guess_and_see" in (code := "".join(cell["source"])):
                calls = [node for node in ast.walk(ast.parse(code)) if isinstance(node, ast.Call)]
                [call] = [node for node in calls if getattr(node.func, "attr", "") == "guess_and_see"]
                asked[call.args[3].value] = call.args[2].value
    review = max(asked)  # it asks about the learner's own guesses
    asked.pop(review)
    assert {question.notebook: question.unit for question in questions()} == asked
