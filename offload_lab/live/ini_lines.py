"""The lines of INI that make the difference between two fronts, and which of them act at a moment."""

from pathlib import Path
from typing import Any

Json = dict[str, Any]
OFFLOADS = ("offload", "route", "header", "passuwsgi")  # words of the lines that offload
ACTIONS = ("uwsgi:", "http:", "static:")  # that end a route
RUNS = ("wsgi-file", "pyargv")  # of those that say which code runs


def settings(ini: Path) -> list[str]:
    return [line.strip() for line in ini.read_text().splitlines() if line.strip() and line.strip()[0] not in ";#["]


def difference(front: Path, other: Path | None) -> list[Json]:
    """Of `front`, and those that it lacks and `other` has, the most telling first. Without another: those that offload.

    ``acts_by``: ``offload`` for a line that acts while threads hold connections, ``code`` for one that acts while the
    worker is busy, empty for one that is missing.
    """
    own = settings(front)
    theirs = settings(other) if other else []
    found = [(line, False) for line in own if line not in theirs and acts_by(line)]
    missing = [(line, True) for line in theirs if line not in own and acts_by(line) == "offload"]
    return [
        {"text": line, "short": shortened(line), "acts_by": "" if lacks else acts_by(line), "missing": lacks}
        for line, lacks in sorted([*found, *missing], key=lambda row: rank(row[0]))
    ]


def acts_by(line: str) -> str:
    name = line.partition("=")[0].strip()
    if any(word in name for word in OFFLOADS) and not name.startswith("route-if-not"):
        return "offload"
    return "code" if name in RUNS else ""


def rank(line: str) -> int:
    """Who gets the connection, then the threads, then the rest of what offloads, then which code runs."""
    if acts_by(line) != "offload":
        return 3
    return 0 if any(action in line for action in ACTIONS) else 1 if line.startswith("offload-threads") else 2


def shortened(line: str) -> str:
    """Without what is the same in all files, and of a route only its name and its action."""
    name, _, value = line.replace("%(run)/", "").replace("%d", "").replace("%(run) ", "").partition("=")
    words = value.split()
    if "route" in name and len(words) > 1:
        return f"{name.partition('-if')[0].strip()}… {words[-1]}"
    return f"{name.strip()} = {value.strip()}"
