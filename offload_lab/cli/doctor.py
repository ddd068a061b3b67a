"""./lab doctor: what is there, what it is for, and how to get the rest."""

import sys

import click
from rich.table import Table

from offload_lab.doctor import examine

from .console import out


@click.command()
def doctor() -> None:
    """What this machine has, and the command that gets what is missing. Fails only if nothing could run."""
    table = Table("", "part", "for", "found, or how to get it", box=None, header_style="bold")
    table.columns[-1].overflow = "fold"  # a path is read whole, or it is of no use
    findings = list(examine())
    for finding in findings:
        there = finding.found is not None
        mark = "[green]ok[/]" if there else "[red]missing[/]" if finding.needed else "[yellow]optional[/]"
        table.add_row(mark, finding.part, finding.purpose, finding.found if there else f"→ {finding.install}")
    out.print(table)
    if any(finding.needed and finding.found is None for finding in findings):
        sys.exit(1)
