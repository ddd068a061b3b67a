"""Records a run: the cells of its plan in turn, each written as soon as it is measured."""

import time
from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from offload_lab.paths import ROOT

from . import machine
from .aggregate import Result
from .plan import PLANS, Cell
from .records import Run, has_numbers
from .runner import measure, prepared, raise_limits
from .specs import ServerSpec

RESULTS = ROOT / "results" / "bench"


def new(plan: str, specs: Mapping[str, ServerSpec], names: Collection[str] = ()) -> Run:
    """A new file in results/bench, named after the plan and the time. `names`: only these peers, or all if empty."""
    raise_limits()
    chosen = {name: spec for name, spec in specs.items() if PLANS[plan].includes(spec, names)}
    now = datetime.now(UTC)
    path = RESULTS / f"{plan}-{now:%Y%m%d-%H%M%S}.jsonl"
    return Run.begin(path, machine.about(plan, chosen, now.isoformat(timespec="seconds")))


def resume(run: Run, specs: Mapping[str, ServerSpec]) -> Iterator[tuple[int, int, Cell, Result | None]]:
    """Measure the cells that `run` lacks. Yields (done, all, cell, result): before each with no result, and after."""
    raise_limits()
    plan = PLANS[run.about["plan"]]
    cells = list(plan.cells((specs[name] for name in run.about["servers"]), run.about["machine"]["cores"]))
    left = run.left(cells)
    if not left:
        return
    with prepared() as folder:
        for done, cell in enumerate(left, len(cells) - len(left)):
            yield done, len(cells), cell, None
            started = time.monotonic()
            result = hopeless(run, cell, plan.timing.open_within_s) or measure(
                cell, specs[cell.server], plan.timing, folder
            )
            result["took_s"] = time.monotonic() - started
            run.add(cell, result)
            yield done + 1, len(cells), cell, result


def hopeless(run: Run, cell: Cell, within_s: float) -> Result | None:
    """The result of a cell that is not worth measuring, else None.

    Decided by the largest smaller size of the same round: not all of its streams were opened, or opening took so long
    that more streams cannot be opened in time.
    """
    fewer = [it for it in run.results if it.streams < cell.streams and replace(it, streams=cell.streams) == cell]
    tried = [it for it in sorted(fewer, key=lambda it: it.streams) if has_numbers(run.results[it])]
    if not tried:
        return None
    streams, result = tried[-1].streams, run.results[tried[-1]]
    if result["failures"]:
        return {"failed": f"did not open all of {streams:,}, so that more were not tried"}
    if result.get("opened_s", 0.0) * cell.streams / streams > within_s:
        return {"failed": f"took {result['opened_s']:.0f} s to open {streams:,}, so that more were not tried"}
    return None


def draw(run: Run) -> Path:
    """Draw the pictures into the folder beside the file that has its name; that folder."""
    from offload_lab.plots.timeline import save  # matplotlib takes a second to import

    from . import axes, figures

    folder = run.path.with_suffix("")
    for name, figure in figures.of(run):
        for kind in ("svg", "png"):
            save(figure, folder / f"{name}.{kind}", axes.title_of(figure))
    return folder
