"""./lab list: the steps and their variants."""

import click
from rich.table import Table

from offload_lab.stages import manifest

from .console import out


@click.command("list")
def list_steps() -> None:
    """All steps and their variants."""
    for step in manifest.steps():
        out.print(f"[bold]{step.name}[/]  {step.title} ({step.minutes} min)")
        table = Table.grid(padding=(0, 2))
        for variant in step.variants:
            table.add_row("", f"[cyan]{variant.name}[/]", variant.says)
        out.print(table)
