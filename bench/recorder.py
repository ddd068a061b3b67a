"""Takes a run: each cell of its plan in turn, each written down as soon as it is finished."""

import time
from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from offload_lab.paths import ROOT

from . import machine
from .cells import measure, prepared, raise_limits
from .contestants import Contestant
from .plan import PLANS, Cell
from .records import Run, has_numbers
from .tally import Result

RESULTS = ROOT / "results" / "bench"


def new(plan: str, contestants: Mapping[str, Contestant], names: Collection[str] = ()) -> Run:
    """A new file in results/bench, named after the plan and the time. `names`: the only peers that are wanted."""
    raise_limits()
    chosen = {name: one for name, one in contestants.items() if PLANS[plan].takes(one, names)}
    now = datetime.now(UTC)
    path = RESULTS / f"{plan}-{now:%Y%m%d-%H%M%S}.jsonl"
    return Run.begin(path, machine.about(plan, chosen, now.isoformat(timespec="seconds")))


def go_on(run: Run, contestants: Mapping[str, Contestant]) -> Iterator[tuple[int, int, Cell, Result | None]]:
    """Measure what is left of `run`. Yields how many of how many cells are done, and a cell: as it begins without a
    result, as it ends with it."""
    raise_limits()
    plan = PLANS[run.about["plan"]]
    cells = list(plan.cells(contestants[name] for name in run.about["contestants"]))
    left = run.left(cells)
    if not left:
        return
    with prepared() as folder:
        for done, cell in enumerate(left, len(cells) - len(left)):
            yield done, len(cells), cell, None
            began = time.monotonic()
            result = hopeless(run, cell, plan.timing.open_within_s) or measure(
                cell, contestants[cell.contestant], plan.timing, folder
            )
            result["took_s"] = time.monotonic() - began
            run.add(cell, result)
            yield done + 1, len(cells), cell, result


def hopeless(run: Run, cell: Cell, within_s: float) -> Result | None:
    """Who did not open all of fewer streams in the same round, or would take too long for more, is not tried.

    The most that were tried before decide.
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
    """Draw the pictures into a folder beside the file and of its name; that folder."""
    from offload_lab.plots.timeline import save  # matplotlib takes a second to import

    from . import figures

    folder = run.path.with_suffix("")
    for name, figure in figures.of(run):
        for kind in ("svg", "png"):
            save(figure, folder / f"{name}.{kind}")
    return folder
