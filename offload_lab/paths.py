"""The repository's folder, and the folder of results."""

import os
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def results() -> Path:
    """The folder of recordings, pictures and guesses: ``LAB_RESULTS``, or ``results/`` in the repository."""
    return Path(os.environ.get("LAB_RESULTS") or ROOT / "results")
