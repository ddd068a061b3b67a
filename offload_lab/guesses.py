"""The learner's guesses: what counts as one, and where they are kept for the comparison at the end of the course."""

import json
import math
import os
from datetime import UTC, datetime
from pathlib import Path

from .engine import ROOT


def results() -> Path:
    """Where guesses and altered INIs go: `results` in the repository, or the folder that ``LAB_RESULTS`` names."""
    return Path(os.environ.get("LAB_RESULTS") or ROOT / "results")


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
