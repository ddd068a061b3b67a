"""What the last notebook needs beside `offload_lab.notebook`: the learner's guesses, beside what was measured."""

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
    """The learner's first guess at each question of the other notebooks; says which of these have none yet."""
    *names, review = sorted(path.stem for path in (ROOT / "notebooks").glob("*.ipynb"))
    mine = [guess for guess in first_guesses() if guess.notebook != review]
    missing = [name for name in names if name not in {guess.notebook for guess in mine}]
    links = ", ".join(f"[{name}.ipynb]({name}.ipynb)" for name in missing)
    lines = [f"{len(mine)} guesses are here." if mine else "There are no guesses yet, so what follows stays empty."]
    if missing:
        lines.append(
            f"Without one: {links}. Write a number into the guess cell there, run the notebook, and come back."
        )
    show_bundle({"text/markdown": "\n".join(lines), "text/plain": "\n".join(lines)})
    return mine


def close(mine: Sequence[Guess]) -> int:
    """How many were off by less than CLOSE times."""
    return sum(one.off < CLOSE for one in mine)


def picture(mine: Sequence[Guess]) -> None:
    if mine:
        words = "; ".join(f"{one.question}: you said {number(one.guess)}, {outcome(one)}" for one in mine)
        show(all_guesses(mine), words)


def table(mine: Sequence[Guess]) -> None:
    """All of them, in the course's order."""
    if not mine:
        return
    rows = Table("", "question", "you said", "measured", "so")
    for one in mine:
        measured = f"{number(one.measured)} {one.unit}" if math.isfinite(one.measured) else "no answer"
        rows.add_row(
            one.notebook.partition("_")[0], one.question, f"{number(one.guess)} {one.unit}", measured, outcome(one)
        )
    show_table(rows)


def outcome(one: Guess) -> str:
    return verdict(one.guess, one.measured) if math.isfinite(one.measured) else "there was no end to it"


def where_intuition_fails(mine: Sequence[Guess]) -> None:
    """Per kind of question how far off the guesses were, the worst kind first."""
    kinds: dict[str, list[Guess]] = {}
    for one in mine:
        kinds.setdefault(KINDS.get(one.unit, COUNTED), []).append(one)
    worst_first = sorted(kinds.items(), key=lambda item: -middle(item[1]))
    lines = [f"- **{kind}**: {in_words(group)}" for kind, group in worst_first]
    if lines:
        show_bundle({"text/markdown": "\n".join(lines), "text/plain": "\n".join(lines)})


def in_words(group: Sequence[Guess]) -> str:
    small, large = sum(one.ratio < 1 for one in group), sum(one.ratio > 1 for one in group)
    worst = max(group, key=lambda one: one.off)
    half = f"half of them off by {times(middle(group))} or more" if math.isfinite(middle(group)) else "all or nothing"
    return f"{small} too small, {large} too large, {half}. Furthest off: {worst.question}; {outcome(worst)}."


def middle(group: Sequence[Guess]) -> float:
    return statistics.median_high(one.off for one in group)
