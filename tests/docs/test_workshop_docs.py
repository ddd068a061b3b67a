"""docs/workshop is complete: every answer names what measured it, every step has its part of the guide."""

import json
import re

import pytest

from offload_lab.paths import ROOT
from offload_lab.stages import manifest

FOLDER = ROOT / "docs" / "workshop"
PAGES = {path.name: path.read_text() for path in FOLDER.glob("*.md")}
ASKED_IN_PUBLIC = {
    "unbit/uwsgi": {"771", "2183", "1456", "2543", "515", "2425"},
    "jrief/django-websocket-redis": {"166"},
    "django/daphne": {"177"},
    "fanout/django-eventstream": {"158"},
}

WITNESS = re.compile(r"\[`(test_\w+\.py)::(test_\w+)`\]\(([^)]+)\)")
NOTEBOOK = re.compile(r"\[(?:notebook \d\d\w?, )?\*([^*]+)\*\]\((\.\./\.\./notebooks/[^)]+)\)")
FIGURE = re.compile(r"\]\(\.\./figures/[\w.]+\)")


def questions():
    """(question, answer, what measured it) of each."""
    parts = re.split(r"^### (.+)$", PAGES["questions.md"], flags=re.MULTILINE)[1:]
    for question, text in zip(parts[::2], parts[1::2], strict=True):
        answer, _, measured = text.partition("**Measured by:**")
        yield question, answer.strip(), measured.partition("\n## ")[0]


@pytest.mark.parametrize(("question", "answer", "measured"), list(questions()), ids=lambda text: text[:30])
def test_every_question_has_an_answer_and_what_measured_it(question, answer, measured):
    assert answer, question
    lines = re.findall(r"^- (.+)$", measured, re.MULTILINE)
    assert lines
    assert [line for line in lines if not any(kind.search(line) for kind in (WITNESS, NOTEBOOK, FIGURE))] == []


def test_every_public_question_links_to_its_answer():
    linked = set(re.findall(r"github\.com/([\w-]+/[\w-]+)/(?:issues|pull)/(\d+)\)", PAGES["questions.md"]))
    assert {(project, number) for project, numbers in ASKED_IN_PUBLIC.items() for number in numbers} <= linked


@pytest.mark.parametrize("page", PAGES)
def test_every_test_that_is_named_is_in_the_linked_file(page):
    for file, test, target in WITNESS.findall(PAGES[page]):
        assert target.rpartition("/")[2] == file
        there = re.findall(r"^(?:async )?def (test_\w+)", (FOLDER / target).read_text(), re.MULTILINE)
        assert test in there, f"{test} is not in {target}"


@pytest.mark.parametrize("page", PAGES)
def test_every_part_of_a_notebook_that_is_named_is_in_it(page):
    for heading, target in NOTEBOOK.findall(PAGES[page]):
        cells = json.loads((FOLDER / target).read_text())["cells"]
        prose = "\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "markdown")
        assert heading in re.findall(r"^#+ (.+)$", prose, re.MULTILINE), f"{heading} is not in {target}"


@pytest.mark.parametrize("step", manifest.steps(), ids=lambda step: step.name)
def test_the_guide_has_questions_pictures_and_problems_for_each_step(step):
    [part] = re.findall(rf"^## {step.number} · .+?(?=^## )", PAGES["guide.md"], re.MULTILINE | re.DOTALL)
    assert f"<!-- sections {step.number} -->" in part
    places = [part.index(f"**{word}**\n\n- ") for word in ("Ask", "Show", "Stumbling blocks")]
    assert places == sorted(places)


def test_every_question_for_the_class_has_its_answer():
    asked = re.findall(r"^\*\*Ask\*\*\n\n(.+?)\n\n", PAGES["guide.md"], re.MULTILINE | re.DOTALL)
    questions = [
        " ".join(question.split())
        for part in asked
        for question in re.split(r"^- ", part, flags=re.MULTILINE)
        if question
    ]
    assert len(questions) > 20
    assert [question for question in questions if not question.endswith(")")] == []


def test_the_handouts_are_there_and_the_letter_has_commands_that_exist():
    text = PAGES["handouts.md"]
    assert re.findall(r"^## (.+)$", text, re.MULTILINE) == ["The letter", "Guess sheet", "Exit ticket"]
    letter = re.search(r"```text\n(.+?)```", text, re.DOTALL)[1]
    assert max(map(len, letter.splitlines())) <= 80
    assert set(re.findall(r"\./lab (\w+)", letter)) == {"demo", "doctor", "install"}


@pytest.mark.parametrize("step", manifest.steps(), ids=lambda step: step.name)
def test_every_step_has_sections_with_a_landmark(step):
    assert step.sections
    assert all(section.landmark and section.minutes > 0 and section.cut >= 0 for section in step.sections)


def test_the_checklist_begins_with_what_every_teacher_needs():
    part = PAGES["README.md"].partition("## The day before")[2].partition("\n## ")[0]
    commands = re.findall(r"`\./lab (\w+)", part)
    assert commands.index("demo") < commands.index("doctor") < commands.index("notebook") < commands.index("timetable")
