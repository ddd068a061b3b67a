"""What uWSGI puts in for ``$(…)`` and ``%(…)`` in a value, once all the lines are read."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace

from .config import Option, UnusableConfig

PLACEHOLDER = re.compile(r"%\(([^()]+)\)")
MOST, LONGEST = 200, 2**20  # no honest value has so many, or becomes so long


class Expander:
    """``$(ENVIRONMENT)``, then ``%(placeholder)``: any option is one, and the first of its name counts."""

    def __init__(self, options: list[Option], environ: Mapping[str, str]) -> None:
        self._options, self._environ = options, environ
        self._values: dict[str, str] = {}
        for option in options:
            self._values.setdefault(option.name, option.value if option.raw else self._from_environ(option.value))

    def expanded(self) -> Iterator[Option]:
        for option in self._options:
            yield (
                option if option.raw else replace(option, value=self._expand(option, self._from_environ(option.value)))
            )

    def _from_environ(self, value: str) -> str:
        return re.sub(r"\$\(([^()]+)\)", lambda match: self._environ.get(match[1], match[0]), value)

    def _expand(self, option: Option, value: str) -> str:
        """What was put in is looked at again, but for its first character: so uWSGI leaves a placeholder that begins
        with another."""
        start = 0
        for _ in range(MOST):
            match = PLACEHOLDER.search(value, start)
            if match is None:
                return value
            if len(value) > LONGEST:
                break
            words = match[1]
            found = self._calculate(words) if " " in words else self._values.get(words)
            if found is None:
                start = match.end()
            else:
                value, start = value[: match.start()] + found + value[match.end() :], 1
        raise UnusableConfig(f"{option.file}:{option.line}", f"{option.value} refers to itself without end")

    def _calculate(self, words: str) -> str:
        """uWSGI's arithmetic: from left to right, and without an operator two values are put one after the other."""
        value, operator = "", ""
        for word in words.split():
            if word in ("+", "-", "*", "/"):
                operator = word
            elif word in ("++", "--"):
                value = str(to_int(value) + (1 if word == "++" else -1))
            else:
                other = word if word.isdigit() else self._values.get(word, "")
                value, operator = calculate(value, operator, other), ""
        return value


def calculate(one: str, operator: str, other: str) -> str:
    left, right = to_int(one), to_int(other)
    match operator:
        case "+":
            return str(left + right)
        case "-":
            return str(left - right)
        case "*":
            return str(left * right)
        case "/":
            return str(int(left / right) if right else 0)
    return one + other


def to_int(text: str) -> int:
    digits = re.match(r"\s*[+-]?\d+", text)
    return int(digits[0]) if digits else 0
