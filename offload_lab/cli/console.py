"""The one console: everything a person reads goes through it. Errors go to standard error."""

import textwrap

from rich.console import Console

out = Console(highlight=False)
err = Console(stderr=True, highlight=False)

WIDEST = 120  # columns of prose; tables take the whole terminal


def say(text: str, indent: str = "", style: str = "") -> None:
    """A sentence of any length, each of its lines indented; what looks like markup in it is none."""
    width = min(WIDEST, out.width)
    lines = textwrap.fill(
        text, width, initial_indent=indent, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False
    )
    out.print(lines, style=style, markup=False, soft_wrap=True)
