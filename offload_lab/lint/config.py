"""A configuration once it was read: options in uWSGI's order, each with its place."""

import re
from dataclasses import dataclass

from ..errors import LabError

OFF = {"false", "off", "no", "0"}


class UnusableConfig(LabError):
    """A file that cannot be linted: where, and why."""

    def __init__(self, where: str, why: str) -> None:
        super().__init__(where, why)
        self.where, self.why = where, why

    def __str__(self) -> str:
        return f"{self.where}: {self.why}"


@dataclass(frozen=True)
class Option:
    """One line, its value expanded as uWSGI would. `maybe`: it stands below a condition. `raw`: uWSGI never expands it,
    as it does not a placeholder's own value."""

    name: str
    value: str
    file: str
    line: int
    maybe: bool = False
    raw: bool = False

    @property
    def on(self) -> bool:
        """As uWSGI reads a flag: everything but a no is a yes, nothing at all included."""
        return self.value.lower() not in OFF

    @property
    def number(self) -> int | None:
        """As C's atoi has it; None where it depends on what is known only when uWSGI starts."""
        if re.match(r"[%$@]", self.value):
            return None
        digits = re.match(r"\s*[+-]?\d+", self.value)
        return int(digits[0]) if digits else 0


@dataclass(frozen=True)
class Config:
    """All options of a file and of those it imports, in uWSGI's order."""

    file: str
    options: tuple[Option, ...]

    def all(self, *names: str) -> list[Option]:
        return [option for option in self.options if option.name in names]

    def last(self, *names: str) -> Option | None:
        """The one that counts, of an option that is set once."""
        return next(reversed(self.all(*names)), None)

    def on(self, *names: str) -> bool:
        """Whether the flag is set, or may be."""
        found = self.all(*names)
        return bool(found) and (found[-1].on or any(option.on for option in found if option.maybe))

    def number(self, *names: str, default: int) -> int | None:
        """The number, the largest of those that may be set; None where nobody can know it here."""
        found = self.all(*names)
        numbers = [option.number for option in found if option.maybe or option is found[-1]]
        known = [number for number in numbers if number is not None]
        return None if len(known) < len(numbers) else max(known, default=default)
