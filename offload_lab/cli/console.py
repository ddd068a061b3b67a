"""The one console for all output; errors go to standard error."""

import textwrap

from rich.console import Console

out = Console(highlight=False)
err = Console(stderr=True, highlight=False)

WIDEST = 120  # columns of prose; tables take the whole terminal


def say(text: str, indent: str = "", style: str = "", hanging: str = "") -> None:
    """Print a sentence, wrapped and indented, `hanging` more from its second line on; markup is not interpreted."""
    width = min(WIDEST, out.width)
    below = indent + hanging
    lines = textwrap.fill(
        text, width, initial_indent=indent, subsequent_indent=below, break_long_words=False, break_on_hyphens=False
    )
    out.print(lines, style=style, markup=False, soft_wrap=True)
