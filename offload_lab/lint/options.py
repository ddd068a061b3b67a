"""The names that uWSGI knows: options, routing actions and conditions, and which plugin brings them."""

from collections.abc import Iterable
from dataclasses import dataclass
from difflib import SequenceMatcher
from functools import cache
from importlib.resources import files

NEAR = 0.72  # of 1: how alike a misspelt name and the right one are


@dataclass(frozen=True)
class Known:
    """`kinds`: option → `flag`, `number` or `text`. `owners`: option, action or condition → plugin or `core`."""

    kinds: dict[str, str]
    actions: frozenset[str]
    conditions: frozenset[str]
    plugins: frozenset[str]


@cache
def known() -> Known:
    text = files(__package__).joinpath("options.txt").read_text()
    rows = [(kind, name, owner) for kind, name, owner in map(str.split, text.splitlines())]

    def named(wanted: str) -> frozenset[str]:
        return frozenset(name for kind, name, _ in rows if kind == wanted)

    kinds = {name: kind for kind, name, _ in rows if kind not in ("action", "condition")}
    return Known(kinds, named("action"), named("condition"), frozenset(owner for _, _, owner in rows))


def nearest(name: str, names: Iterable[str]) -> str | None:
    """The most similar of `names`; None where none is similar."""
    name = name.lower().replace("_", "-")

    def likeness(other: str) -> float:
        matcher = SequenceMatcher(None, name, other)
        if matcher.real_quick_ratio() < NEAR or matcher.quick_ratio() < NEAR:
            return 0
        return matcher.ratio()

    best = max(sorted(names), key=likeness, default="")
    return best if best and likeness(best) >= NEAR else None
