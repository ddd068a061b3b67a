"""Wrong answers that came from a fresh mind: a check says what it saw of each, quotes the log, or says nothing.

`answers.toml` has them, each with its reading. The mistakes that have a diagnosis of their own are in each step.toml.
"""

import tomllib
from pathlib import Path

import pytest

from offload_lab.errors import MissingDependencyError
from offload_lab.exercises.check import try_out
from offload_lab.exercises.diagnose import diagnose
from offload_lab.exercises.sandbox import sandbox
from offload_lab.stages import manifest
from offload_lab.system import NOT_TOLD
from offload_lab.testing import require
from offload_lab.uwsgi import binary

ANSWERS = tomllib.loads(Path(__file__).with_name("answers.toml").read_text())["answers"]
RIGHT = "right"


@pytest.mark.full
@pytest.mark.parametrize("answer", ANSWERS, ids=lambda answer: f"{answer['step']}-{answer['task']}-{answer['name']}")
def test_an_answer_gets_its_reading_and_no_other(answer):
    step = manifest.find(answer["step"])
    task = step.task(answer["task"])
    try:
        binary.find_able(step.variant(task.variant).needs)
    except MissingDependencyError as missing:
        require(False, missing.what, missing.install)
    with sandbox(step, answers={task.name: answer["lines"]}) as copy:
        if answer["causes"] == [RIGHT]:
            assert try_out(copy, [task.name])[0].passed
            return
        diagnosis = diagnose(copy, copy.task(task.name))
    if diagnosis.untold and answer["causes"] == [cause.id for cause in diagnosis.untold]:  # never on Linux
        assert NOT_TOLD in "".join(diagnosis.sentences)
        return
    assert [cause.id for cause in diagnosis.causes] == answer["causes"], diagnosis
    sentences = " ".join([*(cause.sentence for cause in diagnosis.causes), *diagnosis.errors])
    assert answer["says"] in sentences, "a word of the reading"
    assert bool(sentences) == bool(answer["causes"] or answer["says"]), "silence, where nothing can be told"


def test_the_table_has_fifty_answers_to_tasks_of_the_first_six_steps():
    assert len(ANSWERS) >= 50
    assert {answer["step"] for answer in ANSWERS} == {"01", "02", "03", "04", "05", "06"}
