"""The drawings agree with drawings.toml, with the steps and with each other."""

import re
import tomllib

import pytest

from offload_lab.course import drawings
from offload_lab.stages import manifest

ARCHITECTURES = tomllib.loads(drawings.SOURCE.read_text())["architecture"]


@pytest.mark.parametrize(("name", "content"), drawings.drawings().items())
def test_a_drawing_agrees_with_its_description(name, content):
    assert (drawings.FIGURES / name).read_text() == content, "draw it again with: ./lab dev drawings"


@pytest.mark.parametrize("step", manifest.steps(), ids=lambda step: step.name)
def test_each_step_shows_its_architecture(step):
    assert f"](../../docs/figures/architecture-{step.number}.svg)" in (step.folder / "README.md").read_text()


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_each_number_of_a_drawing_is_explained_below_it(name):
    drawn = {arrow[2] for arrow in ARCHITECTURES[name]["arrows"]} - {""}
    explained = re.findall(r"(?:^|\+ )(\d)\b", "\n".join(ARCHITECTURES[name]["says"]), re.MULTILINE)
    assert sorted(explained) == sorted(drawn)


@pytest.mark.parametrize("name", ["ticket-hall", *(f"architecture-{name}" for name in ARCHITECTURES)])
def test_text_is_text_and_has_a_background_of_its_own_in_the_dark(name):
    drawing = (drawings.FIGURES / f"{name}.svg").read_text()
    assert drawing.count("<text ") > 5
    assert "prefers-color-scheme: dark" in drawing
    assert 'class="paper"' in drawing
