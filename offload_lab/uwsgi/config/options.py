"""The names that uWSGI knows: options, routing actions and conditions, and which plugin brings them."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

FOREIGN = {
    "php",
    "psgi",
    "coroae",
    "jvm",
    "jwsgi",
    "lua",
    "mono",
    "rack",
    "rbthreads",
    "fiber",
    "pypy",
    "v8",
    "xslt",
    "ldap",
}


@dataclass(frozen=True)
class Known:
    """`kinds`: option → `flag`, `number` or `text`. `likely`: the options that a configuration for Python may mean.
    `plugins`: what brings any of them, `core` included."""

    kinds: dict[str, str]
    likely: frozenset[str]
    actions: frozenset[str]
    conditions: frozenset[str]
    plugins: frozenset[str]


@cache
def known() -> Known:
    rows = [line.split() for line in files(__package__).joinpath("options.txt").read_text().splitlines()]
    kinds = {name: kind for kind, name, _ in rows if kind not in ("action", "condition")}
    return Known(
        kinds,
        likely=frozenset(name for _, name, owner in rows if name in kinds and owner not in FOREIGN),
        actions=frozenset(name for kind, name, _ in rows if kind == "action"),
        conditions=frozenset(name for kind, name, _ in rows if kind == "condition"),
        plugins=frozenset(owner for _, _, owner in rows),
    )


def nearest(name: str, names: Iterable[str]) -> str | None:
    """What `name` was probably meant to be: a few letters apart, or one the beginning of the other; else None."""
    plain = squeeze(name)
    most = 0 if len(plain) < 5 else 1 if len(plain) < 10 else 2  # short names are alike by chance
    ranked: list[tuple[int, int, str]] = []
    for other in names:
        whole = squeeze(other)
        if not plain or not whole or (plain[0] != whole[0] and plain[-1] != whole[-1]):
            continue
        if abs(len(whole) - len(plain)) <= most:
            ranked.append((distance(plain, whole), abs(len(other) - len(name)), other))
        elif begins(name, other) or (len(whole) > 8 and plain.startswith(whole) and len(plain) - len(whole) < 4):
            ranked.append((most, abs(len(other) - len(name)), other))
    apart, _, best = min(ranked, default=(most + 1, 0, ""))
    return best if apart <= most else None


def begins(name: str, other: str) -> bool:
    """Words of it, or all but its last letters: `chmod-sock`, `process`."""
    is_cut_off = squeeze(other).startswith(squeeze(name)) and len(squeeze(other)) - len(squeeze(name)) < 3
    return len(name) > 5 and (is_cut_off or other.startswith(f"{name}-") or name.startswith(f"{other}-"))


@cache
def squeeze(name: str) -> str:
    return name.lower().replace("_", "").replace("-", "")


def distance(word: str, other: str) -> int:
    """How many letters to insert, delete, replace or swap."""
    last: list[int] = []
    row = list(range(len(other) + 1))
    for i, letter in enumerate(word, 1):
        before, last, row = last, row, [i]
        for j, wanted in enumerate(other, 1):
            cost = min(last[j] + 1, row[j - 1] + 1, last[j - 1] + (letter != wanted))
            if i > 1 and j > 1 and letter == other[j - 2] and word[i - 2] == wanted:
                cost = min(cost, before[j - 2] + 1)
            row.append(cost)
    return row[-1]
