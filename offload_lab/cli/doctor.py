"""./lab doctor: what is there, what it is for, and how to get the rest."""

import sys

import click
from rich.table import Table

from offload_lab.doctor import Part, examine

from .console import out, say


@click.command(epilog="Example: ./lab doctor")
def doctor() -> None:
    """Show what this machine has, and the command that installs what is missing.

    Exit status 1 only where no step can run.
    """
    table = Table("", "part", "needed for", "found, or how to install it", box=None, header_style="bold")
    table.columns[-1].overflow = "fold"  # a path must be readable to its end
    parts = list(examine())
    for part in parts:
        mark = "[green]ok[/]" if part.found else "[red]missing[/]" if part.needed else "[yellow]optional[/]"
        table.add_row(mark, part.name, part.purpose, part.found or f"→ {part.install}")
    out.print(table)
    missing = [part for part in parts if part.found is None]
    say(f"\n{conclusion(missing)}")
    if any(part.needed for part in missing):
        sys.exit(1)


def conclusion(missing: list[Part]) -> str:
    """One sentence: what to do next."""
    needed = [part for part in missing if part.needed]
    if needed:
        return f"Nothing runs yet: {needed[0].name} is missing; install it with: {needed[0].install}"
    if missing:
        optional = ", ".join(part.name for part in missing)
        return f"Ready, begin with ./lab demo; what needs an optional part is skipped without it: {optional}."
    return "Ready, and nothing is missing: begin with ./lab demo."
