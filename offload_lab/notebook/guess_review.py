"""For the last notebook: the learner's guesses beside the measured numbers."""

import math
import statistics
from collections.abc import Sequence

from rich.table import Table

from offload_lab.measure.guesses import Guess, first_guesses
from offload_lab.paths import ROOT
from offload_lab.plots.guesses import all_guesses, number, times, verdict

from .display import show, show_bundle, show_table

KINDS = {"ms": "Waits", "MiB": "Memory"}  # by unit; all others are counted
COUNTED = "Things that were counted"
CLOSE = 2.0  # times


def collect() -> list[Guess]:
    """The learner's first guess at each question of the other notebooks; prints which of these have none yet."""
    *names, review = sorted(path.stem for path in (ROOT / "notebooks").glob("*.ipynb"))
    mine = [guess for guess in first_guesses() if guess.notebook != review]
    missing = [name for name in names if name not in {guess.notebook for guess in mine}]
    links = ", ".join(f"[{name}.ipynb]({name}.ipynb)" for name in missing)
    lines = [f"{len(mine)} guesses are here." if mine else "There are no guesses yet, so what follows stays empty."]
    if missing:
        lines.append(
            f"Without guess: {links}. Write a number into the guess cell there, run the notebook, and come back."
        )
    show_bundle({"text/markdown": "\n".join(lines), "text/plain": "\n".join(lines)})
    return mine


def close(mine: Sequence[Guess]) -> int:
    """How many guesses were off by a factor below CLOSE."""
    return sum(guess.off < CLOSE for guess in mine)


def picture(mine: Sequence[Guess]) -> None:
    if mine:
        text = "; ".join(f"{guess.question}: you said {number(guess.guess)}, {outcome(guess)}" for guess in mine)
        show(all_guesses(mine), text)


def table(mine: Sequence[Guess]) -> None:
    """All guesses, in the course's order."""
    if not mine:
        return
    rows = Table("", "question", "you said", "measured", "so")
    for guess in mine:
        measured = f"{number(guess.measured)} {guess.unit}" if math.isfinite(guess.measured) else "no answer"
        rows.add_row(
            guess.notebook.partition("_")[0],
            guess.question,
            f"{number(guess.guess)} {guess.unit}",
            measured,
            outcome(guess),
        )
    show_table(rows)


def outcome(guess: Guess) -> str:
    return verdict(guess.guess, guess.measured) if math.isfinite(guess.measured) else "it never ended"


def where_intuition_fails(mine: Sequence[Guess]) -> None:
    """How far off the guesses were, by kind of question, the worst kind first."""
    kinds: dict[str, list[Guess]] = {}
    for guess in mine:
        kinds.setdefault(KINDS.get(guess.unit, COUNTED), []).append(guess)
    worst_first = sorted(kinds.items(), key=lambda item: -middle(item[1]))
    lines = [f"- **{kind}**: {summarise(group)}" for kind, group in worst_first]
    if lines:
        show_bundle({"text/markdown": "\n".join(lines), "text/plain": "\n".join(lines)})


def summarise(group: Sequence[Guess]) -> str:
    small, large = sum(guess.ratio < 1 for guess in group), sum(guess.ratio > 1 for guess in group)
    worst = max(group, key=lambda guess: guess.off)
    half = f"half of them off by {times(middle(group))} or more" if math.isfinite(middle(group)) else "all or nothing"
    return f"{small} too small, {large} too large, {half}. Furthest off: {worst.question}; {outcome(worst)}."


def middle(group: Sequence[Guess]) -> float:
    return statistics.median_high(guess.off for guess in group)
