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

POLL_S = 1.0

TakeSnapshot = Callable[[], Snapshot]


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
@click.option("--watch", "form", flag_value="watch", help="Print it again each second until Ctrl-C.")
@click.option("--json", "form", flag_value="json", help="The facts for programs (docs/explain.md).")
@click.option("--metrics", "form", flag_value="metrics", help="The facts as Prometheus text, of fronts only.")
def explain(
    step: str | None, variant: str | None, run_folder: Path | None, addresses: tuple[str, ...], form: str | None
) -> None:
    """Say where each connection of a running uWSGI is, and why.

    Of STEP VARIANT (by default as ./lab run), of the one stage that runs, or with --stats of any uWSGI. Starts nothing,
    changes nothing.
    """
    if addresses and (step or run_folder):
        raise click.UsageError("--stats names any uWSGI, STEP and --run one of this repository: give one of both")
    if addresses:
        sources: dict[str, TakeSnapshot] = {at: lambda at=at: take_snapshot_at(at) for at in addresses}  # type: ignore[misc]
    else:
        run = chosen(step, variant, run_folder)
        sources = {f"{run.step.name} {run.variant.name}": lambda: take_snapshot(*run, front_only=form == "metrics")}
    if form == "metrics":
        print_metrics(sources)
    elif form == "json":
        print(json.dumps([as_json(take()) for take in sources.values()], indent=2))
    elif form == "watch":
        watch(sources)
    else:
        print_sentences([take() for take in sources.values()])


def chosen(step: str | None, variant: str | None, folder: Path | None) -> Run:
    if step is None:
        if folder:
            raise click.UsageError("--run needs STEP and VARIANT")
        return only_run(runs())
    found = manifest.find(step)
    its = found.variant(variant)
    return Run(found, its, folder or find_run(found, its))


def print_sentences(snapshots: list[Snapshot]) -> None:
    width = min(WIDEST, out.width)
    for index, snapshot in enumerate(snapshots):
        if index:
            out.print()
        for sentence in describe(snapshot):
            text = textwrap.fill(
                sentence, width, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False
            )
            out.print(text, markup=False, soft_wrap=True)
    if not is_linux():
        say(f"Which thread waits for what, and who waits in the listen queue: {NOT_TOLD} (docs/systems.md)")


def watch(sources: dict[str, TakeSnapshot]) -> None:
    """Print again and again, on a terminal in place.

    Raises: LabError once a server no longer answers.
    """
    while True:
        snapshots = [take() for take in sources.values()]
        out.clear()
        out.print(f"{time.strftime('%H:%M:%S')}   Ctrl-C ends it.\n", style="dim")
        print_sentences(snapshots)
        time.sleep(POLL_S)


def print_metrics(sources: dict[str, TakeSnapshot]) -> None:
    """A server that does not answer is down; an error only if none answers."""
    answers: dict[str, Snapshot | None] = {}
    errors = []
    for name, take in sources.items():
        try:
            answers[name] = take()
        except LabError as caught:
            answers[name] = None
            errors.append(caught)
    print(metrics(answers), end="", flush=True)
    if not any(answers.values()):
        raise errors[0]
    for error in errors:
        err.print(f"error: {error}", style="red", markup=False)
