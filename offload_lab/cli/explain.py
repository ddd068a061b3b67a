"""./lab explain: where each connection of a running stage is, and why."""

import textwrap
from pathlib import Path

import click

from .. import manifest
from ..explain import describe, find_run, look
from ..system import NOT_TOLD, is_linux
from .console import WIDEST, out, say


@click.command()
@click.argument("step")
@click.argument("variant", required=False)
@click.option(
    "--run",
    "run_folder",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Its run folder, where the variant runs more than once.",
)
def explain(step: str, variant: str | None, run_folder: Path | None) -> None:
    """Say where each connection of a running STEP VARIANT is, and why; without VARIANT, of that which ./lab run takes.

    Starts nothing, changes nothing.
    """
    found = manifest.find(step)
    chosen = found.variant(variant)
    width = min(WIDEST, out.width)
    for sentence in describe(look(found, chosen, run_folder or find_run(found, chosen))):
        text = textwrap.fill(sentence, width, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False)
        out.print(text, markup=False, soft_wrap=True)
    if not is_linux():
        say(f"Which thread waits for what, and who waits in the listen queue: {NOT_TOLD} (docs/systems.md)")
