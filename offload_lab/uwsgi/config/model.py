"""A configuration: options in uWSGI's order, each with its file and line."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from offload_lab.errors import LabError

OFF = {"false", "off", "no", "0"}
# what is left where only the machine, the environment or a template engine knows the value
UNKNOWN = re.compile(r"%\(|\$\(|@\(|\{\{|\{%|<%|%[vhtTVkuUgGbij]|\$\{?[A-Za-z_]|@[A-Z_]+@|__[A-Z]")
ENVIRONMENT = "environment"  # the `file` of an option that a UWSGI_* variable sets


class ConfigError(LabError):
    """A file that cannot be linted: where, and why."""

    def __init__(self, where: str, why: str) -> None:
        super().__init__(where, why)
        self.where, self.why = where, why

    def __str__(self) -> str:
        return f"{self.where}: {self.why}"


@dataclass(frozen=True)
class Option:
    """One line, its value expanded as uWSGI would.

    `maybe`: whether it holds is decided only when uWSGI starts (a condition, or a template's). `raw`: uWSGI never
    expands it, as it does not a placeholder's own value. `text`: the line as it stands in the file.
    """

    name: str
    value: str
    file: str
    line: int
    maybe: bool = False
    raw: bool = False
    text: str = ""
    plain: bool = True  # a line of a file, not the value that a `set-placeholder` or a `set` makes

    @property
    def place(self) -> str:
        if self.file == ENVIRONMENT:
            return f"{self.text.partition('=')[0]} in the environment"
        return f"{self.file}:{self.line}"

    @property
    def on(self) -> bool:
        """As uWSGI reads a flag: every value but a no is a yes, also the empty one."""
        return self.value.lower() not in OFF

    @property
    def known(self) -> bool:
        return UNKNOWN.search(self.value) is None

    @property
    def number(self) -> int | None:
        """The number as C's strtol reads it; None where the value depends on what is known only when uWSGI starts."""
        if UNKNOWN.match(self.value):
            return None
        return to_int(self.value)


@dataclass(frozen=True)
class Problem:
    """What the reader found wrong at `option`: `kind` is the id of the rule that reports it."""

    kind: str
    option: Option
    what: str


@dataclass(frozen=True)
class Acknowledged:
    """A comment ``lint: ignore RULE reason``: `line` is the option's that follows it, 0 where none does."""

    rule: str
    file: str
    line: int
    comment: Option


@dataclass(frozen=True)
class Config:
    """All options of a file, or of several as one, and of those that they import, in uWSGI's order."""

    file: str
    options: tuple[Option, ...]
    problems: tuple[Problem, ...] = ()
    acknowledged: tuple[Acknowledged, ...] = ()
    template: bool = False  # made into a configuration by another program: Jinja, ERB

    def all(self, *names: str) -> list[Option]:
        return [option for option in self.options if option.name in names]

    def last(self, *names: str) -> Option | None:
        """The last value, which counts where an option is set once."""
        return next(reversed(self.all(*names)), None)

    def on(self, *names: str) -> bool:
        """Whether the flag is set, or may be."""
        found = self.all(*names)
        return bool(found) and (found[-1].on or any(option.on for option in found if option.maybe))

    def number(self, *names: str, default: int) -> int | None:
        """The number, the largest of those that may be set; None where it cannot be known here."""
        numbers = [option.number for option in self._that_may_count(names)]
        known = [number for number in numbers if number is not None]
        return None if len(known) < len(numbers) else max(known, default=default)

    def positive(self, *names: str) -> Option | None:
        """The option that sets a number above zero, or may set one."""
        found = [option for option in self._that_may_count(names) if option.number != 0]
        return found[-1] if found else None

    def _that_may_count(self, names: tuple[str, ...]) -> Iterator[Option]:
        found = self.all(*names)
        return (option for option in found if option.maybe or option is found[-1])


def to_int(text: str) -> int:
    digits = re.match(r"\s*[+-]?\d+", text)
    return int(digits[0]) if digits else 0
