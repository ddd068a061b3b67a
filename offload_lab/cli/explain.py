"""./lab explain: where each connection of a running uWSGI is, and why."""

import json
import textwrap
import time
from collections.abc import Callable
from pathlib import Path

import click

from offload_lab.errors import LabError
from offload_lab.inspect import (
    Snapshot,
    as_json,
    describe,
    find_run,
    metrics,
    only_run,
    runs,
    take_snapshot,
    take_snapshot_at,
)
from offload_lab.inspect.runs import Run
from offload_lab.stages import manifest
from offload_lab.system import NOT_TOLD, is_linux

from .console import WIDEST, err, out, say

EVERY_S = 1.0

Look = Callable[[], Snapshot]


@click.command(epilog="Example: ./lab explain --stats /run/app/stats.sock")
@click.argument("step", required=False)
@click.argument("variant", required=False)
@click.option(
    "--run",
    "run_folder",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Its run folder, where the variant runs more than once.",
)
@click.option(
    "--stats",
    "addresses",
    multiple=True,
    metavar="PATH_OR_ADDRESS",
    help="Instead: any uWSGI, by its stats server (several times for several). http:// before it for stats-http.",
)
@click.option("--watch", "form", flag_value="watch", help="Say it anew each second until Ctrl-C.")
@click.option("--json", "form", flag_value="json", help="The facts for programs (docs/explain.md).")
@click.option("--metrics", "form", flag_value="metrics", help="The facts as Prometheus text, of fronts only.")
def explain(
    step: str | None, variant: str | None, run_folder: Path | None, addresses: tuple[str, ...], form: str | None
) -> None:
    """Say where each connection of a running uWSGI is, and why.

    Of STEP VARIANT (without VARIANT, of that which ./lab run takes), of the one stage that runs, or with --stats of any
    uWSGI. Starts nothing, changes nothing.
    """
    if addresses and (step or run_folder):
        raise click.UsageError("--stats names any uWSGI, STEP and --run one of this repository: give one of both")
    if addresses:
        looks: dict[str, Look] = {one: lambda one=one: take_snapshot_at(one) for one in addresses}  # type: ignore[misc]
    else:
        run = chosen(step, variant, run_folder)
        looks = {f"{run.step.name} {run.variant.name}": lambda: take_snapshot(*run, front_only=form == "metrics")}
    if form == "metrics":
        print_metrics(looks)
    elif form == "json":
        print(json.dumps([as_json(one()) for one in looks.values()], indent=2))
    elif form == "watch":
        watch(looks)
    else:
        print_sentences([one() for one in looks.values()])


def chosen(step: str | None, variant: str | None, folder: Path | None) -> Run:
    if step is None:
        if folder:
            raise click.UsageError("--run needs STEP and VARIANT")
        return only_run(runs())
    found = manifest.find(step)
    its = found.variant(variant)
    return Run(found, its, folder or find_run(found, its))


def print_sentences(all_facts: list[Snapshot]) -> None:
    width = min(WIDEST, out.width)
    for index, facts in enumerate(all_facts):
        if index:
            out.print()
        for sentence in describe(facts):
            text = textwrap.fill(
                sentence, width, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False
            )
            out.print(text, markup=False, soft_wrap=True)
    if not is_linux():
        say(f"Which thread waits for what, and who waits in the listen queue: {NOT_TOLD} (docs/systems.md)")


def watch(looks: dict[str, Look]) -> None:
    """In place on a terminal, one after the other elsewhere. Raises LabError when a server goes away."""
    while True:
        all_facts = [one() for one in looks.values()]
        out.clear()
        out.print(f"{time.strftime('%H:%M:%S')}   Ctrl-C ends it.\n", style="dim")
        print_sentences(all_facts)
        time.sleep(EVERY_S)


def print_metrics(looks: dict[str, Look]) -> None:
    """A server that does not answer is down; only where none does is that an error."""
    answers: dict[str, Snapshot | None] = {}
    errors = []
    for name, one in looks.items():
        try:
            answers[name] = one()
        except LabError as caught:
            answers[name] = None
            errors.append(caught)
    print(metrics(answers), end="", flush=True)
    if not any(answers.values()):
        raise errors[0]
    for error in errors:
        err.print(f"error: {error}", style="red", markup=False)
