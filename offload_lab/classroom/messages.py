"""What a seat may send, and nothing else: a nickname, and messages of four kinds. No I/O."""

import re
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from offload_lab.errors import LabError
from offload_lab.text import printable

Message = dict[str, Any]

LONGEST_NICKNAME = 20  # characters
MOST_MESSAGES = 2000  # of a seat in a class
MOST_AT_ONCE = 50
SMALLEST, LARGEST = 1e-12, 1e12  # number other than 0: further apart no axis can show them
SEAT = re.compile(r"[0-9a-f]{32}", re.ASCII)
STATES = ("open", "passed", "given")
FIELDS = {
    "guess": {"notebook", "guess", "measured"},
    "task": {"step", "task", "tries", "hints", "state"},
    "hand": {"up"},
    "seen": {"section"},
}


class MessageError(LabError):
    """A message or a nickname that no seat may send."""


@dataclass
class GuessError(MessageError):
    """A number that no board can show, as a guess at the question of `notebook`."""

    sequence: int
    notebook: str
    guess: object

    def __str__(self) -> str:
        return f"a guess is 0, or a number from {SMALLEST:g} to {LARGEST:g}, and not {self.guess!r}"


@dataclass(frozen=True)
class Known:
    """What messages may name: notebooks with a question, pairs of step and task, and how many sections there are."""

    notebooks: frozenset[str]
    tasks: frozenset[tuple[str, str]]
    sections: int


def nickname(given: object) -> str:
    """Raises: MessageError."""
    name = " ".join(given.split()) if isinstance(given, str) else ""
    if not name:
        raise MessageError(f"{given!r} is no nickname; choose one of 1 to {LONGEST_NICKNAME} characters")
    if len(name) > LONGEST_NICKNAME:
        raise MessageError(
            f"the nickname {name[:40]!r} has {len(name)} characters; choose one of at most {LONGEST_NICKNAME}"
        )
    if printable(name) != name:
        raise MessageError(f"the nickname {printable(name)!r} has characters that cannot be shown; leave them out")
    return unicodedata.normalize("NFC", name)


def checked(message: object, known: Known) -> tuple[int, str, Message]:
    """The message's number, kind and fields.

    Raises: MessageError, GuessError.
    """
    if not isinstance(message, dict):
        raise MessageError(f"{message!r} is no message")
    fields = dict(message)
    sequence, kind = fields.pop("sequence", None), fields.pop("kind", None)
    if not is_count(sequence) or sequence > MOST_MESSAGES:
        raise MessageError(f"{sequence!r} is no number of a message; a seat has {MOST_MESSAGES}")
    if not isinstance(kind, str) or fields.keys() != FIELDS.get(kind):
        raise MessageError(f"the kind {kind!r} with the fields {', '.join(map(str, fields))} is no message")
    if kind == "guess" and is_asked(fields, known) and not is_number(fields["guess"]):
        raise GuessError(sequence, fields["notebook"], fields["guess"])
    if not CHECKS[kind](fields, known):
        raise MessageError(f"a {kind} cannot have {fields!r}")
    return sequence, kind, fields


def is_asked(fields: Message, known: Known) -> bool:
    return isinstance(fields["notebook"], str) and fields["notebook"] in known.notebooks


def is_guess(fields: Message, known: Known) -> bool:
    measured = fields["measured"]
    return is_asked(fields, known) and is_number(fields["guess"]) and (measured is None or is_number(measured))


def is_task(fields: Message, known: Known) -> bool:
    return (
        isinstance(fields["step"], str)
        and isinstance(fields["task"], str)
        and (fields["step"], fields["task"]) in known.tasks
        and is_count(fields["tries"])
        and is_count(fields["hints"])
        and fields["state"] in STATES
    )


CHECKS: dict[str, Callable[[Message, Known], bool]] = {
    "guess": is_guess,
    "task": is_task,
    "hand": lambda fields, known: isinstance(fields["up"], bool),
    "seen": lambda fields, known: is_count(fields["section"]) and fields["section"] < known.sections,
}


def is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= 1_000_000


def is_number(value: object) -> bool:
    return (
        isinstance(value, int | float) and not isinstance(value, bool) and (value == 0 or SMALLEST <= value <= LARGEST)
    )


def sentence(kind: str, fields: Message) -> str:
    """A message as it is shown before it is sent."""
    if kind == "guess":
        measured = "not measured" if fields["measured"] is None else f"measured {fields['measured']:g}"
        return f"notebook {fields['notebook']}: guessed {fields['guess']:g}, {measured}"
    if kind == "task":
        return (
            f"task {fields['step']} {fields['task']}: {fields['state']},"
            f" {fields['tries']} tries, {fields['hints']} hints"
        )
    if kind == "hand":
        return "hand raised" if fields["up"] else "hand lowered"
    return "seen: the landmark of the present section"
