"""What a rule is: a function that finds lines, and the text about each of them."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Literal

from offload_lab.uwsgi.config.model import Config, Option

Level = Literal["error", "warning", "note", "hygiene"]
LEVELS: tuple[Level, ...] = ("error", "warning", "note", "hygiene")
PAGE = "docs/lint.md"


@dataclass(frozen=True)
class Match:
    """A line that a rule is about. `part`: the words in it that are meant. `related`: the other lines that make it so.
    `level` and `cure`: where they differ from the rule's."""

    option: Option
    what: str
    part: str = ""
    related: tuple[Option, ...] = ()
    level: Level | None = None
    cure: str = ""


Found = Iterator[Match]


@dataclass(frozen=True)
class Rule:
    """`effect`: what uWSGI then does, `issue`: where it was reported. The rule's `page` names the test that proves it.

    `check` takes one configuration, or two if `sides` is 2: the front's and the backend's.
    """

    id: str
    level: Level
    check: Callable[..., Found]
    effect: str
    cure: str
    issue: str = ""
    sides: int = 1

    @property
    def page(self) -> str:
        return f"{PAGE}#{self.id}"


@dataclass(frozen=True)
class Finding:
    rule: Rule
    match: Match

    @property
    def option(self) -> Option:
        return self.match.option

    @property
    def place(self) -> tuple[str, str, int, str]:
        """The same for findings of one rule at one line of a file that several configurations read."""
        return self.rule.id, self.option.file, self.option.line, self.option.text

    @property
    def what(self) -> str:
        return self.match.what

    @property
    def cure(self) -> str:
        return self.match.cure or self.rule.cure

    @property
    def maybe(self) -> bool:
        """Whether it holds only where a condition does that is decided when uWSGI starts."""
        return any(option.maybe for option in (self.option, *self.match.related))

    @property
    def level(self) -> Level:
        level = self.match.level or self.rule.level
        return "warning" if level == "error" and self.maybe else level


RULES: list[Rule] = []


def rule(
    id: str,
    level: Level,
    *,
    effect: str,
    cure: str,
    issue: str = "",
    sides: int = 1,
) -> Callable[[Callable[..., Found]], Callable[..., Found]]:
    """Register the function below as the check of a rule."""

    def register(check: Callable[..., Found]) -> Callable[..., Found]:
        RULES.append(Rule(id, level, check, effect, cure, issue, sides))
        return check

    return register


def from_problems(config: Config, kind: str) -> Found:
    """What the reader met already."""
    for problem in config.problems:
        if problem.kind == kind:
            yield Match(problem.option, problem.what, part=problem.option.value)


Check = Callable[[Any], Found]
