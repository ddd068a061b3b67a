"""./lab list: the steps and their variants."""

import click
from rich.table import Table

from offload_lab.stages import manifest
from offload_lab.stages.step import Step

from .console import out


@click.command("list", epilog="Example: ./lab list 03")
@click.argument("step", required=False)
def list_steps(step: str | None) -> None:
    """List the variants of all steps, or of STEP.

    Without STEP, pitfalls are only counted: their names are the answers.
    """
    if step:
        show_step(manifest.find(step))
        return
    for found in manifest.steps():
        if found.pitfalls:
            text = f"{len(found.pitfalls)} failures, each broken and fixed"
            out.print(f"[bold]{found.name}[/]  {text} ({found.minutes} min)")
        else:
            show_step(found)


def show_step(step: Step) -> None:
    out.print(f"[bold]{step.name}[/]  {step.title} ({step.minutes} min)")
    table = Table.grid(padding=(0, 2))
    for variant in step.variants:
        table.add_row("", f"[cyan]{variant.name}[/]", variant.says)
    out.print(table)
