"""The timetable: what fits, what goes first, where the breaks are; and that the documents hold what is computed now."""

import re
from itertools import pairwise
from pathlib import Path

import pytest
from click.testing import CliRunner

from offload_lab.cli import workshop
from offload_lab.course.agenda import BREAK, CHECK_IN, CLOSING, LUNCH, OPENING, SLACK_MIN, TooShortError, plan
from offload_lab.course.agenda_text import WIDTH, lines, renewed
from offload_lab.errors import UnknownNameError
from offload_lab.stages import manifest
from offload_lab.stages.step import Section, Step

STEPS = manifest.steps()
LEAST = 65
FRAME = CHECK_IN.minutes + OPENING.minutes + CLOSING.minutes + SLACK_MIN


def step(number, *sections):
    """`sections` are (title, minutes, cut)."""
    made = [Section(title, minutes, f"{title} is done", cut) for title, minutes, cut in sections]
    total = sum(section.minutes for section in made)
    return Step(Path(f"{number}_step"), f"Step {number}", total, "/", "none", (), sections=tuple(made))


TWO_STEPS = [
    step("01", ("queue", 20, 0), ("claim", 10, 3)),
    step("02", ("offload", 15, 2), ("ticket", 5, 1)),
]


def taught(timetable):
    return [entry.section.title for entry in timetable.entries if entry.step]


def shown(timetable):
    return "\n".join(line for _, line in lines(timetable))


@pytest.mark.parametrize(
    ("minutes", "titles"),
    [
        (FRAME + 20, ["queue"]),
        (FRAME + 29, ["queue"]),
        (FRAME + 30, ["queue", "claim"]),
        (FRAME + 44, ["queue", "claim"]),  # not ticket, which would fit, without offload
        (FRAME + 45, ["queue", "claim", "offload"]),
        (FRAME + 50, ["queue", "claim", "offload", "ticket"]),
    ],
)
def test_sections_are_left_out_by_their_cut(minutes, titles):
    assert taught(plan(TWO_STEPS, minutes)) == titles


def test_what_does_not_fit_makes_room_for_something_smaller():
    steps = [TWO_STEPS[0], step("02", ("long", 60, 2)), step("03", ("short", 5, 1))]
    assert taught(plan(steps, FRAME + 35)) == ["queue", "claim", "short"]


def test_too_few_minutes_are_an_error_that_names_the_least():
    with pytest.raises(TooShortError, match=rf"{FRAME + 19} minutes are too few: .* takes {FRAME + 20};"):
        plan(TWO_STEPS, FRAME + 19)


def test_a_timetable_of_any_length_fits_and_is_in_order():
    everything = [section for each in STEPS for section in each.sections]
    for minutes in range(LEAST, 500):
        table = plan(STEPS, minutes)
        assert [entry.section for entry in table.entries[:2]] == [CHECK_IN, OPENING]
        assert table.entries[-1].section == CLOSING
        assert table.in_hand >= SLACK_MIN
        assert all(before.end == after.at for before, after in pairwise(table.entries))
        assert taught(table) == [section.title for section in everything if section.title in taught(table)]
        assert {section.title for section in everything if section.cut == 0} <= set(taught(table))


def test_a_break_comes_within_75_minutes_but_in_a_short_workshop():
    for minutes in range(LEAST, 500):
        stretches = [0]
        for entry in plan(STEPS, minutes).entries:
            if entry.section in (BREAK, LUNCH):
                stretches.append(0)
            else:
                stretches[-1] += entry.section.minutes
        at_once = len(stretches) == 1
        assert max(stretches) <= (90 if at_once else 75), minutes
        assert at_once or min(stretches) >= 40, minutes


@pytest.mark.parametrize("minutes", [90, 210, 450])
def test_it_reads_well_in_60_columns(minutes):
    assert max(map(len, shown(plan(STEPS, minutes)).splitlines())) <= WIDTH


def test_the_essence_is_in_90_minutes_and_everything_in_a_day():
    assert {entry.step.number for entry in plan(STEPS, 90).entries if entry.step} == {"01", "03"}
    day = plan(STEPS, 450)
    assert day.left_out == ()
    assert [entry.section for entry in day.entries].count(LUNCH) == 1
    with pytest.raises(TooShortError, match=f"takes {LEAST}"):
        plan(STEPS, LEAST - 1)


def test_each_section_has_a_landmark_and_lateness_is_one_ladder():
    text = " ".join(shown(plan(TWO_STEPS, FRAME + 50)).split())
    assert "0:15 queue 20 min by 0:35 you have seen: queue is done 0:35 claim" in text
    ladder = "5 min late: 02 ticket 20 min late: 02 offload 30 min late: 01 claim"
    assert f"If you are late: leave out each line down to yours {ladder}" in text


def test_each_step_begins_with_its_notebook_for_the_whole_class():
    text = shown(plan(STEPS, 450))
    assert [text.count(f"begin together: ./lab notebook {each.number}\n") for each in STEPS] == [1] * len(STEPS)
    assert "--from-solution" not in text


@pytest.mark.parametrize("page", sorted(workshop.DOCUMENTS.glob("*.md")), ids=lambda page: page.name)
def test_the_documents_hold_what_is_computed_now(page):
    assert page.read_text() == renewed(page.read_text(), STEPS), "renew them: ./lab timetable --renew"


def test_the_documented_lengths_are_three():
    text = (workshop.DOCUMENTS / "timetables.md").read_text()
    assert re.findall(r"<!-- timetable (\d+) -->", text) == ["90", "210", "450"]
    assert f"At least {LEAST} minutes" in text


def test_renewing_changes_only_what_is_between_the_marks(tmp_path, monkeypatch):
    page = tmp_path / "page.md"
    page.write_text(
        "before\n<!-- timetable 90 -->\nold\n<!-- /timetable -->\nafter\n<!-- sections 01 -->\n<!-- /sections -->\n"
    )
    monkeypatch.setattr(workshop, "DOCUMENTS", tmp_path)
    assert CliRunner().invoke(workshop.timetable, ["--renew"]).exit_code == 0
    before, text, after = re.split(r"```(?:text)?\n", page.read_text())
    assert before == "before\n<!-- timetable 90 -->\n\n"
    assert text == f"{shown(plan(STEPS, 90))}\n"
    assert after.startswith("\n<!-- /timetable -->\nafter\n<!-- sections 01 -->\n\n**25 minutes.**")
    for section in STEPS[0].sections:
        assert f"| {section.title} | {section.minutes} | {section.landmark} |" in after


def test_a_mark_for_a_step_that_is_not_there_is_named():
    with pytest.raises(UnknownNameError, match=r"no step '99'; there are: 01, 02"):
        renewed("<!-- sections 99 -->\n<!-- /sections -->\n", STEPS)


def test_the_command_prints_it(capsys):
    workshop.timetable.callback(minutes=90, renew=False)
    assert capsys.readouterr().out == f"{shown(plan(STEPS, 90))}\n"
