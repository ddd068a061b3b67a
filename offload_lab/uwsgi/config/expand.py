"""``$(…)``, ``@(…)`` and ``%(…)`` in a value: what uWSGI replaces them with once all lines are read."""

import re
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial

from .model import ConfigError, Option, Problem, to_int

MOST, LONGEST = 200, 2**20  # placeholders in a value, and its length in bytes: more is a loop
FILE = re.compile(r"@\(([^()]+)\)")
OF_THE_KERNEL = ("/proc/", "/sys/")
Hook = Callable[[str], str | None]


class ExpansionLoopError(Exception):
    """A value that refers to itself: uWSGI expands it without end."""


class Expander:
    """``$(ENVIRONMENT)`` in all values, then ``@(FILE)``, then ``%(placeholder)``, each in the order of the lines.

    A placeholder is any option, the first of its name, with the value that it has by then: one further down is put in
    as it stands, and what begins with a placeholder stays so (uWSGI goes on one character behind the beginning).
    """

    def __init__(self, options: list[Option], environ: Mapping[str, str], load: Callable[[str, str], str]) -> None:
        self._environ, self._load = environ, load
        self._options = list(options)
        self._indices: dict[str, list[int]] = defaultdict(list)
        for index, option in enumerate(options):
            self._indices[option.name].append(index)
        self.problems: list[Problem] = []

    def expanded(self) -> tuple[Option, ...]:
        self._pass("$", lambda _, name: self._environ.get(name))
        self._pass("@", self._content)
        for option in self._options:
            reference = None if option.raw else FILE.search(option.value)
            if reference and not reference[1].startswith(OF_THE_KERNEL):
                what = f"the value is what {reference[1]} yields, which cannot be read here: not judged"
                self.problems.append(Problem("unread-import", option, what))
        self._pass("%", self._placeholder)
        return tuple(self._options)

    def _pass(self, symbol: str, hook: Callable[[Option, str], str | None]) -> None:
        for index, option in enumerate(self._options):
            if not option.raw and f"{symbol}(" in option.value:
                try:
                    value = put_in(option.value, symbol, partial(hook, option))
                    self._options[index] = replace(option, value=value)
                except ExpansionLoopError:
                    if self.problems:
                        continue  # caused by the value that was reported
                    what = f"{option.name} refers to itself: uWSGI expands it without end"
                    self.problems.append(Problem("endless-value", option, what))

    def _content(self, option: Option, path: str) -> str | None:
        """The file's text without the newline at its end; None where only uWSGI can read it."""
        if path.startswith(OF_THE_KERNEL):
            return None  # /proc/self and its like are another file for the linter than for uWSGI
        try:
            return self._load(path, option.file).removesuffix("\n")
        except (OSError, ConfigError):
            return None

    def _placeholder(self, _: Option, expression: str) -> str | None:
        return self._calculate(expression) if " " in expression else self._value(expression)

    def _value(self, name: str) -> str | None:
        """None as well where a condition decides which of several values it is."""
        found = self._indices.get(name, [])
        if not found or (len(found) > 1 and self._options[found[0]].maybe):
            return None
        return self._options[found[0]].value

    def _calculate(self, expression: str) -> str | None:
        """uWSGI's arithmetic: from left to right, and without an operator two values are put one after the other."""
        value: str | None = None
        operator = ""
        for word in expression.split():
            if word in ("+", "-", "*", "/"):
                operator = word
            elif word in ("++", "--"):
                if value is not None:
                    value = str(to_int(value) + (1 if word == "++" else -1))
                operator = ""
            else:
                other = word if word.isdigit() else self._value(word) or ""
                value, operator = calculate(value or "", operator, other), ""
        return value


def put_in(value: str, symbol: str, hook: Hook) -> str:
    """uWSGI's uwsgi_apply_config_pass() for one value."""
    length, start = 0, -1  # of the name so far with its two marks; where the name begins
    depth, rounds, at = 0, 0, 0
    while at < len(value):
        letter = value[at]
        if letter == symbol:
            length = 1
        elif letter == "(" and length == 1:
            length, depth, start = 2, 0, at + 1
        elif length > 1:
            if letter == ")" and depth == 0:
                found = hook(value[start:at]) if length > 2 else None
                if found is not None:
                    rounds += 1
                    if rounds > MOST or len(value) > LONGEST:
                        raise ExpansionLoopError
                    value, at = value[: start - 2] + found + value[start + length - 1 :], 0
                length = 0
            else:
                length += 1
                depth += {"(": 1, ")": -1}.get(letter, 0)
        else:
            length = 0
        at += 1
    return value


def calculate(text: str, operator: str, other: str) -> str:
    left, right = to_int(text), to_int(other)
    match operator:
        case "+":
            return str(left + right)
        case "-":
            return str(left - right)
        case "*":
            return str(left * right)
        case "/":
            return str(int(left / right) if right else 0)
    return text + other


def names_in(value: str) -> set[str]:
    """All names of placeholders in `value`."""
    return {word for name in re.findall(r"%\(([^()]+)\)", value) for word in name.split()}
