"""The marked regions of a file: find, read, fill and remove them. Text in, text out.

A region starts with a line ``# >>> name`` and ends with a line ``# <<<`` (in an INI ``;`` stands for ``#``).
"""

import re
import textwrap
from collections.abc import Mapping
from dataclasses import dataclass

from offload_lab.errors import RegionError

OPENS = re.compile(r"([ \t]*)[;#] >>> (\w+)\s*")
CLOSES = re.compile(r"[ \t]*[;#] <<<\s*")


@dataclass(frozen=True)
class Region:
    """`first` and `last`: the line numbers of its markers, from 0."""

    indent: str
    first: int
    last: int


def regions(text: str) -> dict[str, Region]:
    """All regions of `text`, by name.

    Raises: RegionError for a marker without its counterpart, a region within another, a name used twice.
    """
    found: dict[str, Region] = {}
    is_open: tuple[str, str, int] | None = None
    for number, line in enumerate(text.split("\n")):
        if opens := OPENS.fullmatch(line):
            indent, name = opens.groups()
            if is_open:
                raise RegionError(f"line {number + 1}: '>>> {name}' comes before the '<<<' of '>>> {is_open[1]}'")
            if name in found:
                raise RegionError(f"line {number + 1}: there is a second '>>> {name}'")
            is_open = indent, name, number
        elif CLOSES.fullmatch(line):
            if not is_open:
                raise RegionError(f"line {number + 1}: the line '>>> …' that belongs to this '<<<' is gone")
            found[is_open[1]] = Region(is_open[0], is_open[2], number)
            is_open = None
    if is_open:
        raise RegionError(f"line {is_open[2] + 1}: the line '<<<' that belongs to '>>> {is_open[1]}' is gone")
    return found


def find(text: str, name: str) -> Region:
    """The region `name`.

    Raises: RegionError where there is none, or the markers are wrong.
    """
    found = regions(text)
    if name not in found:
        raise RegionError(f"the lines '>>> {name}' and '<<<' are gone")
    return found[name]


def body(text: str, name: str) -> str:
    """The lines between the markers, without their common indentation."""
    region = find(text, name)
    return tidy("\n".join(text.split("\n")[region.first + 1 : region.last]))


def tidy(lines: str) -> str:
    return textwrap.dedent(lines).strip("\n").rstrip()


def fill(text: str, bodies: Mapping[str, str]) -> str:
    """`text` with other lines between the markers of each region in `bodies`, indented as its markers are."""
    for name, lines in bodies.items():
        region = find(text, name)
        whole = text.split("\n")
        whole[region.first + 1 : region.last] = textwrap.indent(tidy(lines), region.indent).split("\n")
        text = "\n".join(whole)
    return text


def unmarked(text: str) -> str:
    """`text` without the marker lines."""
    lines = text.splitlines(keepends=True)
    return "".join(line for line in lines if not (OPENS.fullmatch(line) or CLOSES.fullmatch(line)))
