"""The pictures of a run, one question each. Opaque white and colour-blind safe."""

import math
from collections.abc import Iterator, Sequence
from itertools import takewhile

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from offload_lab.plots.streams import frameless
from offload_lab.plots.timeline import FREE, INK, STUCK, TRANSFER

from . import scaling_figures
from .axes import both_logarithmic, heading, name_ends
from .numbers import CPU, CPU_GIB, LAST, LATE_WORST, MEMORY, WAIT_P99, Measure, Spread, rounds, values
from .records import Run
from .report import BASELINE, number, parts, servers

COLOURS = {"offload": (FREE, ""), "python": (STUCK, "////"), "proxy": (TRANSFER, "||||"), "baseline": ("#999999", "")}
KINDS = {
    "offload": "offload threads",
    "python": "Django holds the streams",
    "proxy": "a server in front holds them",
    "baseline": "baseline, no server",
}
POINTS = {"offload": "o", "python": "s", "proxy": "D", "baseline": "v"}  # shapes: colours are not the only difference
DECADES = 30.0  # from here on a logarithmic scale

Bar = tuple[str, str, Measure, str, str]  # file's name, workload, what, the question, the unit
BARS: tuple[Bar, ...] = (
    ("wait", "hold", WAIT_P99, "How long does a bystander wait beside {n} open streams?", "ms, 99 of 100 within"),
    ("cpu", "hold", CPU, "What does an event cost, with {n} streams open?", "ms of CPU for 1,000 events"),
    ("memory", "hold", MEMORY, "What does each of {n} open streams cost?", "KiB of memory"),
    ("last", "broadcast", LAST, "When does the last of {n} have the event?", "ms after it was due"),
    ("poison", "poison", LATE_WORST, "One view blocks: how late is an event at worst, with {n} streams?", "ms"),
    ("files", "download", CPU_GIB, "What does a file for {n} slow readers cost?", "s of CPU for a GiB"),
)


def of(run: Run) -> Iterator[tuple[str, Figure]]:
    """Names and pictures, as far as there are numbers."""
    if run.about["plan"] == "scaling":
        yield from scaling_figures.of_scaling(run)
        return
    counts = sorted({cell.workers for cell in run.results})
    for workers in counts:
        suffix = "" if workers == 1 else f"-{workers}-workers"
        yield from ((f"{name}{suffix}", figure) for name, figure in of_peers(run.with_workers(workers)))


def of_peers(run: Run) -> Iterator[tuple[str, Figure]]:
    for name, workload, measure, question, unit in BARS:
        sizes = [streams for what, streams in parts(run) if what == workload]
        for streams in sizes:
            if figure := bars(run, workload, streams, measure):
                heading(figure.axes[0], question.format(n=f"{streams:,}"))
                figure.axes[0].set_xlabel(unit, color=INK)
                yield f"{name}-{streams}", figure
        if len(sizes) > 2:
            figure = growth(run, workload, sizes, measure)
            heading(figure.axes[0], question.format(n="more and more"))
            figure.axes[0].set_ylabel(unit, color=INK)
            yield f"{name}-growth", figure


def bars(run: Run, workload: str, streams: int, measure: Measure) -> Figure | None:
    """A bar for each server, the median of the rounds, and a line from minimum to maximum.

    The longest finite bar sets the scale; an infinite one has a cross at the edge. Where values span decades, points on
    a logarithmic scale stand for the bars: a bar would have no beginning there.
    """
    rows = []
    for name in servers(run, workload, streams):
        spread = values(rounds(run.results, name, workload, streams), measure)
        if not math.isnan(spread.middle):
            rows.append((name, run.about["settings"][name]["kind"], spread))
    ending = [spread.middle for _, _, spread in rows if math.isfinite(spread.middle)]
    if not ending:
        return None
    decades = max(ending) > DECADES * min(ending) > 0
    edge = (2.0 if decades else 1.12) * max(ending)
    figure = Figure(figsize=(9, 0.42 * len(rows) + 1.5), facecolor="white", layout="constrained")
    axes = figure.subplots()
    for place, (_, kind, spread) in enumerate(rows):
        (draw_point if decades else draw_bar)(axes, place, kind, min(spread.middle, edge))
        ends = [min(spread.least, edge), min(spread.most, edge)]
        axes.plot(ends, [place, place], color=INK, linewidth=1.5, zorder=1)
        if math.isinf(spread.middle):
            axes.plot([edge], [place], color=INK, marker="X", markersize=9, clip_on=False)
        label_at = max(ends[1], min(spread.middle, edge))
        axes.annotate(
            number(spread.middle), (label_at, place), (8, 0), textcoords="offset points", va="center", color=INK
        )
    if decades:
        axes.set_xscale("log")
        axes.xaxis.set_major_formatter(lambda value, _: number(value))
        axes.grid(axis="x", color="#dddddd")
        axes.set_axisbelow(True)
    axes.set_yticks(range(len(rows)), [name for name, _, _ in rows], fontsize=11)
    axes.invert_yaxis()
    axes.set_xlim(min(ending) / 2 if decades else 0, edge)
    axes.tick_params(left=False, colors=INK)
    frameless(axes, "bottom")
    handles = dict(zip(*reversed(axes.get_legend_handles_labels()), strict=True))  # each kind once
    figure.legend(handles.values(), handles.keys(), loc="outside lower center", ncols=4, frameon=False)
    return figure


def draw_bar(axes: Axes, place: int, kind: str, value: float) -> None:
    colour, hatch = COLOURS[kind]
    axes.barh(place, value, color=colour, hatch=hatch, edgecolor="white", linewidth=0, label=KINDS[kind])


def draw_point(axes: Axes, place: int, kind: str, value: float) -> None:
    axes.plot(
        [value], [place], color=COLOURS[kind][0], marker=POINTS[kind], markersize=9, linewidth=0, label=KINDS[kind]
    )


def growth(run: Run, workload: str, sizes: Sequence[int], measure: Measure) -> Figure:
    """A line for each server over the number of streams, named at its end; one that stops has a cross and says why."""
    figure = Figure(figsize=(9, 6), facecolor="white", layout="constrained")
    axes = figure.subplots()
    ends = []
    for name in (name for name in run.about["servers"] if name != BASELINE):
        spreads = [(size, values(rounds(run.results, name, workload, size), measure)) for size in sizes]
        seen = list(takewhile(lambda at: math.isfinite(at[1].middle) and at[1].middle > 0, spreads))
        if seen:
            draw_line(axes, run.about["settings"][name]["kind"], seen)
            size, middle = seen[-1][0], seen[-1][1].middle
            stopped = stops(run, name, workload, spreads[len(seen)]) if len(seen) < len(sizes) else ""
            if stopped:
                axes.plot([size], [middle], color=INK, marker="X", markersize=8, zorder=3)
            ends.append((f"{name} \N{HEAVY MULTIPLICATION X} {stopped}" if stopped else name, size, middle))
    both_logarithmic(axes, sizes)
    name_ends(axes, ends)
    return figure


def stops(run: Run, name: str, workload: str, at: tuple[int, Spread]) -> str:
    """Why a line has no point there."""
    size, spread = at
    if math.isinf(spread.middle):
        return f"never from {size:,}"
    cells = [cell for cell in run.results if (cell.server, cell.workload, cell.streams) == (name, workload, size)]
    reasons = [run.results[cell].get("failed", "") for cell in cells]
    if any("descriptors" in reason for reason in reasons):
        return f"too few descriptors for {size:,}"
    return f"did not open {size:,}" if cells else f"not tried with {size:,}"


def draw_line(axes: Axes, kind: str, seen: Sequence[tuple[int, Spread]]) -> None:
    x, y = [size for size, _ in seen], [spread.middle for _, spread in seen]
    colour = COLOURS[kind][0]
    axes.plot(x, y, color=colour, marker="o", linewidth=2.5 if kind == "offload" else 1.2)
    least, most = [spread.least for _, spread in seen], [spread.most for _, spread in seen]
    axes.fill_between(x, least, most, color=colour, alpha=0.15, linewidth=0)
