"""The learner's guesses: which values are valid, and the file that keeps them for the last notebook."""

import json
import math
from dataclasses import dataclass
from datetime import UTC, datetime

from offload_lab.paths import results

CLOSE_RATIO = 1.5  # a guess that close is right


@dataclass(frozen=True)
class Guess:
    """A saved guess. `measured` is infinite where a bystander was never answered."""

    notebook: str
    question: str
    guess: float
    measured: float
    unit: str

    @property
    def ratio(self) -> float:
        """The guess divided by the measured value; 0 or infinite where one of them is 0."""
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


def why_no_guess(guess: object) -> str:
    """What is wrong with a value in the guess cell; empty for a guess, and for None."""
    if guess is None:
        return ""
    if not counts_as_guess(guess):
        return f"{guess!r} is no number, so it does not count as a guess. Write one like 5 or 0.5, without its unit."
    if isinstance(guess, int | float) and guess < 0:
        return f"{guess} is below 0, and nothing here can be: times, sizes and counts begin at 0. Write 0 or more."
    return ""


def keep_guess(notebook: str, question: str, guess: float, measured: float, unit: str) -> None:
    """Append a line of JSON to ``guesses.jsonl`` in the results folder."""
    taken = datetime.now(UTC).isoformat(timespec="seconds")
    row = {"notebook": notebook, "question": question, "guess": guess, "measured": measured, "unit": unit, "at": taken}
    results().mkdir(parents=True, exist_ok=True)
    with (results() / "guesses.jsonl").open("a") as file:
        file.write(json.dumps(row) + "\n")


def first_guesses() -> list[Guess]:
    """The first guess of each question, as later ones knew the answer, by notebook. Invalid lines are skipped."""
    path = results() / "guesses.jsonl"
    lines = path.read_text(errors="replace").splitlines() if path.exists() else []
    first: dict[tuple[str, str], Guess] = {}
    for saved in filter(None, map(read_guess, lines)):
        first.setdefault((saved.notebook, saved.question), saved)
    return sorted(first.values(), key=lambda saved: saved.notebook)


def read_guess(line: str) -> Guess | None:
    try:
        row = json.loads(line)
        saved = Guess(*(row[name] for name in ("notebook", "question", "guess", "measured", "unit")))
    except (ValueError, TypeError, KeyError):
        return None
    return saved if counts_as_guess(saved.guess) and isinstance(saved.measured, int | float) else None
