"""The questions at which a class guesses, one a notebook: ``classroom/questions.toml``."""

import tomllib
from dataclasses import dataclass

from . import SITE


@dataclass(frozen=True)
class Question:
    """`kind`: what questions have in common, in the comparison at the end."""

    notebook: str
    text: str
    unit: str
    kind: str

    @property
    def number(self) -> str:
        return self.notebook.partition("_")[0]


def questions() -> list[Question]:
    rows = tomllib.loads((SITE / "questions.toml").read_text())["questions"]
    return [Question(**row) for row in rows]
