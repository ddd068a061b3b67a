"""./lab demo: every variant with the same slow client, one table, one picture a step."""

from itertools import groupby
from pathlib import Path

import click

from offload_lab.errors import LabError
from offload_lab.measure.model import Recording
from offload_lab.measure.report import table
from offload_lab.measure.scenarios import SCENARIOS
from offload_lab.paths import ROOT
from offload_lab.stages import manifest
from offload_lab.stages.stage import Stage
from offload_lab.stages.step import Step
from offload_lab.uwsgi import binary
from offload_lab.uwsgi.binary import Engine

from .console import out
from .needs import needs
from .progress import progress_bar

RESULTS = ROOT / "results" / "demo"


@click.command(epilog="Example: ./lab demo 01 02")
@click.argument("steps", nargs=-1)
@click.option("--engine", "engine_name", envvar="LAB_UWSGI", help="wheel (default), built, or a path.")
def demo(steps: tuple[str, ...], engine_name: str | None) -> None:
    """Measure blocking against offloaded variants of all STEPS, or of those named, and draw pictures."""
    chosen = [manifest.find(word) for word in steps] or manifest.steps()
    measured = [
        step for step in chosen if step.scenario in SCENARIOS and any(variant.demo for variant in step.variants)
    ]
    if not measured:
        having = ", ".join(step.number for step in manifest.steps() if step.scenario in SCENARIOS)
        names = ", ".join(step.name for step in chosen)
        raise LabError(f"{names} has nothing that the demo measures; these steps have: {having}")
    uwsgi = binary.find(engine_name)
    needs("demo")
    out.print("Each variant gets a slow download or open streams for three seconds, and GET /ping every 0.1 s.\n")
    recordings = record_all(measured, uwsgi)
    out.print(table(recordings, narrow=out.width < 80))
    out.print(
        "[bold red]Red[/]: every bystander waited until the download ended. In the other rows none did.\n"
        f"uWSGI {uwsgi.version} ({uwsgi.name}); worker's peak is {recordings[0].memory_is};"
        " the waits compare medians of this run.\n"
    )
    for path in draw(recordings):
        out.print(f"picture: {path}", soft_wrap=True)
    out.print(f"recordings: {RESULTS}/*.json\n", soft_wrap=True)
    out.print("next: [bold]./lab notebook[/] (guess, run, see) · [bold]./lab run 01 offload[/] (try it by hand)")


def record_all(steps: list[Step], uwsgi: Engine) -> list[Recording]:
    recordings = []
    variants = [(step, variant) for step in steps for variant in step.variants if variant.demo]
    for step, variant in variants:
        with (
            progress_bar(f"{step.number} {variant.name}", variant.says) as progress,
            Stage(step, variant.name, engine=uwsgi) as stage,
        ):
            recording = SCENARIOS[step.scenario](stage, progress=progress)
        recording.save(RESULTS / f"{step.name}-{variant.name}.json")
        recordings.append(recording)
    return recordings


def draw(recordings: list[Recording]) -> list[Path]:
    """One picture a step."""
    from offload_lab.plots.timeline import (  # matplotlib takes a second to import: only where something is drawn
        save,
        signature,
    )

    paths = []
    for step, group in groupby(recordings, key=lambda recording: recording.step):
        figure = signature(list(group))
        save(figure, RESULTS / f"{step}.svg")
        paths.append(save(figure, RESULTS / f"{step}.png"))
    return paths
