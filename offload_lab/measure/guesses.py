"""The learner's guesses: what counts as one, and where they are kept for the comparison at the end of the course."""

import json
import math
from dataclasses import dataclass
from datetime import UTC, datetime

from offload_lab.paths import results


@dataclass(frozen=True)
class Guess:
    """One that was written down. `measured` is infinite where somebody was never answered."""

    notebook: str
    question: str
    guess: float
    measured: float
    unit: str

    @property
    def ratio(self) -> float:
        """So many times what was measured; 0 or infinite where one of the two is nothing."""
        if self.guess == self.measured:
            return 1.0
        return max(self.guess, 0.0) / self.measured if self.measured > 0 else math.inf

    @property
    def off(self) -> float:
        """How many times too small or too large: at least 1."""
        return max(self.ratio, 1 / self.ratio) if self.ratio else math.inf


def counts_as_guess(guess: object) -> bool:
    """A finite number; True and False are none."""
    return isinstance(guess, int | float) and not isinstance(guess, bool) and math.isfinite(guess)


def keep_guess(notebook: str, question: str, guess: float, measured: float, unit: str) -> None:
    """One more line of JSON in ``guesses.jsonl`` of the results folder."""
    taken = datetime.now(UTC).isoformat(timespec="seconds")
    row = {"notebook": notebook, "question": question, "guess": guess, "measured": measured, "unit": unit, "at": taken}
    results().mkdir(parents=True, exist_ok=True)
    with (results() / "guesses.jsonl").open("a") as file:
        file.write(json.dumps(row) + "\n")


def first_guesses() -> list[Guess]:
    """The first of each question, in the order of the course: later ones knew the answer. Other lines are left out."""
    path = results() / "guesses.jsonl"
    lines = path.read_text(errors="replace").splitlines() if path.exists() else []
    first: dict[tuple[str, str], Guess] = {}
    for one in filter(None, map(read_guess, lines)):
        first.setdefault((one.notebook, one.question), one)
    return sorted(first.values(), key=lambda one: one.notebook)


def read_guess(line: str) -> Guess | None:
    try:
        row = json.loads(line)
        one = Guess(*(row[name] for name in ("notebook", "question", "guess", "measured", "unit")))
    except (ValueError, TypeError, KeyError):
        return None
    return one if counts_as_guess(one.guess) and isinstance(one.measured, int | float) else None
