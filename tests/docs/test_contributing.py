"""CONTRIBUTING.md: its recipes are short, and its ways lead to one file each."""

import re

import pytest

from offload_lab.paths import ROOT

TEXT = (ROOT / "CONTRIBUTING.md").read_text()
RECIPES = dict(re.findall(r"^### (Add [^\n]+)\n\n(.*?)(?=^#)", TEXT, re.MULTILINE | re.DOTALL))
QUESTIONS = re.findall(r"^\| ([^|]+\?) \| ([^|]+) \| `([^`|]+)` \|$", TEXT, re.MULTILINE)


def test_there_are_recipes_for_what_is_added():
    assert list(RECIPES) == ["Add a step", "Add a variant", "Add a task", "Add a pitfall", "Add a lint rule"]


@pytest.mark.parametrize("recipe", RECIPES)
def test_a_recipe_has_fewer_than_ten_lines(recipe):
    assert 0 < len(RECIPES[recipe].strip().splitlines()) < 10


def test_each_of_ten_questions_ends_in_one_file():
    assert len(QUESTIONS) == 10
    assert [file for _, _, file in QUESTIONS if not (ROOT / file).is_file()] == []


@pytest.mark.parametrize(("question", "way", "file"), QUESTIONS)
def test_the_name_on_the_way_is_in_that_file(question, way, file):
    for name in re.findall(r"`([A-Za-z_]+)`", way):
        if name != "grep":
            assert name in f"{file}\n{(ROOT / file).read_text()}"


def test_each_folder_that_it_names_exists():
    folders = re.findall(r"`((?:tests|offload_lab|uwsgi_build|bench|notebooks|docs)/?[\w/]*)`", TEXT)
    assert [folder for folder in folders if not (ROOT / folder).exists()] == []
