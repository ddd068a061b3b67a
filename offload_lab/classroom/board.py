"""The class as its events tell it: each event is applied once, in the feed's order. No I/O, no clock."""

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from statistics import median
from typing import Any

from offload_lab.measure.guesses import CLOSE_RATIO, Guess

from .questions import Question

TRIES_UNTIL_AMBER = 3
SILENT_S = 300.0
HIDDEN, GUESSES, MEASURED = "hidden", "guesses", "measured"  # how much of a question the projector shows
JOIN, INTUITION = "join", "intuition"  # what it shows beside questions, which are named by their notebooks


@dataclass
class TaskState:
    tries: int
    hints: int
    state: str

    @property
    def amber(self) -> bool:
        return self.state == "open" and self.tries >= TRIES_UNTIL_AMBER


@dataclass
class Seat:
    """`number`: from 1, in the order of joining. Guesses: the first of each question, with what was measured there if
    anything was. `refused`: notebooks with a guess that was not taken."""

    number: int
    nickname: str
    last_message_at: float
    guesses: dict[str, tuple[float, float | None]] = field(default_factory=dict)
    refused: set[str] = field(default_factory=set)
    tasks: dict[tuple[str, str], TaskState] = field(default_factory=dict)
    hand: bool = False
    seen: set[int] = field(default_factory=set)

    def silent_min(self, now: float) -> int:
        """Full minutes without a message, from the moment on that they count."""
        silent_s = now - self.last_message_at
        return int(silent_s // 60) if silent_s >= SILENT_S else 0


@dataclass(frozen=True)
class Intuition:
    """How the guesses at one kind of question were. `off`: the median factor by which they missed."""

    kind: str
    small: int
    right: int
    large: int
    off: float

    @property
    def times_off(self) -> str:
        return "∞ times" if math.isinf(self.off) else f"{self.off:,.1f} times"


class Board:
    """Everything that is known of the class. `shown`: what the projector shows; `section`: where the class is."""

    def __init__(self) -> None:
        self.seats: dict[str, Seat] = {}
        self.section, self.began = 0, 0.0
        self.shown = JOIN
        self.revealed: dict[str, str] = {}
        self._effects: dict[str, Callable[[dict[str, Any], float], None]] = {
            "joined": self._joined,
            "section": self._section,
            "show": self._show,
            "reveal": self._reveal,
            "lower": self._lower,
        }

    def apply(self, kind: str, data: dict[str, Any], at: float) -> None:
        """One event of the feed, which came `at` this time."""
        self.began = self.began or at
        if kind in self._effects:
            self._effects[kind](data, at)
        elif data.get("seat") in self.seats:
            self._message(self.seats[data["seat"]], kind, data, at)

    def _joined(self, data: dict[str, Any], at: float) -> None:
        self.seats[data["seat"]] = Seat(len(self.seats) + 1, data["nickname"], at)

    def _section(self, data: dict[str, Any], at: float) -> None:
        self.section = data["section"]

    def _show(self, data: dict[str, Any], at: float) -> None:
        self.shown = data["what"]

    def _reveal(self, data: dict[str, Any], at: float) -> None:
        self.revealed[data["notebook"]] = data["stage"]

    def _lower(self, data: dict[str, Any], at: float) -> None:
        for seat in self.seats.values():
            if seat.number == data["seat_number"]:
                seat.hand = False

    def _message(self, seat: Seat, kind: str, data: dict[str, Any], at: float) -> None:
        seat.last_message_at = at
        if kind == "guess":
            seat.guesses.setdefault(data["notebook"], (data["guess"], data["measured"]))
        elif kind == "refused":
            seat.refused.add(data["notebook"])
        elif kind == "task":
            seat.tasks[data["step"], data["task"]] = TaskState(data["tries"], data["hints"], data["state"])
        elif kind == "hand":
            seat.hand = data["up"]
        elif kind == "seen":
            seat.seen.add(data["section"])

    # --- questions

    def guesses(self, notebook: str) -> list[float]:
        return sorted(seat.guesses[notebook][0] for seat in self.seats.values() if notebook in seat.guesses)

    def measured(self, notebook: str) -> float | None:
        """The median of what the seats measured; None where none has."""
        found = [seat.guesses[notebook][1] for seat in self.seats.values() if notebook in seat.guesses]
        values = [value for value in found if value is not None]
        return median(values) if values else None

    def stage(self, notebook: str) -> str:
        return self.revealed.get(notebook, HIDDEN)

    def intuition(self, questions: Iterable[Question]) -> list[Intuition]:
        """A row for each kind of question with guesses that can be compared; each with its own seat's measurement,
        with the class's where a seat has none."""
        by_kind: dict[str, list[Guess]] = {}
        for question in questions:
            of_class = self.measured(question.notebook)
            for seat in self.seats.values():
                guess, own = seat.guesses.get(question.notebook, (0.0, None))
                value = of_class if own is None else own
                if question.notebook in seat.guesses and value is not None:
                    row = Guess(question.notebook, question.text, guess, value, question.unit)
                    by_kind.setdefault(question.kind, []).append(row)
        return [judge(kind, rows) for kind, rows in by_kind.items()]

    # --- the section

    def seen_by(self, section: int) -> int:
        return sum(section in seat.seen for seat in self.seats.values())


def judge(kind: str, rows: list[Guess]) -> Intuition:
    right = sum(row.off <= CLOSE_RATIO for row in rows)
    small = sum(row.off > CLOSE_RATIO and row.ratio < 1 for row in rows)
    return Intuition(kind, small, right, len(rows) - right - small, median(row.off for row in rows))
