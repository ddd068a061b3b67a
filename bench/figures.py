"""The pictures of a run, one question each. Opaque white and colour-blind safe."""

import math
from collections.abc import Callable, Iterator, Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from offload_lab.plots.streams import frameless
from offload_lab.plots.timeline import FREE, INK, STUCK, TRANSFER

from . import scaling
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
NAME_HEIGHT = 0.05  # of a name at a line's end, as a part of the picture's height

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
        yield from of_scaling(run)
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

    The longest finite bar sets the scale; an infinite one reaches to the edge.
    """
    rows = []
    for name in servers(run, workload, streams):
        spread = values(rounds(run.results, name, workload, streams), measure)
        if not math.isnan(spread.middle):
            rows.append((name, run.about["settings"][name]["kind"], spread))
    ending = [spread.middle for _, _, spread in rows if math.isfinite(spread.middle)]
    if not ending:
        return None
    edge = 1.12 * max(ending)
    figure = Figure(figsize=(9, 0.42 * len(rows) + 1.5), facecolor="white", layout="constrained")
    axes = figure.subplots()
    for place, (_, kind, spread) in enumerate(rows):
        most = min(spread.most, edge)
        colour, hatch = COLOURS[kind]
        axes.barh(
            place,
            min(spread.middle, edge),
            color=colour,
            hatch=hatch,
            edgecolor="white",
            linewidth=0,
            label=KINDS[kind],
        )
        axes.plot([min(spread.least, edge), most], [place, place], color=INK, linewidth=1.5)
        axes.annotate(number(spread.middle), (most, place), (5, 0), textcoords="offset points", va="center", color=INK)
    axes.set_yticks(range(len(rows)), [name for name, _, _ in rows], fontsize=11)
    axes.invert_yaxis()
    axes.set_xlim(0, edge)
    axes.tick_params(left=False, colors=INK)
    frameless(axes, "bottom")
    handles = dict(zip(*reversed(axes.get_legend_handles_labels()), strict=True))  # each kind once
    figure.legend(handles.values(), handles.keys(), loc="outside lower center", ncols=4, frameon=False)
    return figure


def heading(axes: Axes, text: str) -> None:
    axes.set_title(text, loc="left", fontsize=12, fontweight="bold", color=INK)


def growth(run: Run, workload: str, sizes: Sequence[int], measure: Measure) -> Figure:
    """A line for each server over the number of streams, named at its end."""
    figure = Figure(figsize=(9, 5), facecolor="white", layout="constrained")
    axes = figure.subplots()
    ends = []
    for name in (name for name in run.about["servers"] if name != BASELINE):
        spreads = [(size, values(rounds(run.results, name, workload, size), measure)) for size in sizes]
        seen = [(size, spread) for size, spread in spreads if math.isfinite(spread.middle) and spread.middle > 0]
        if seen:
            draw_line(axes, run.about["settings"][name]["kind"], seen)
            ends.append((name, seen[-1][0], seen[-1][1].middle))
    both_logarithmic(axes, sizes)
    name_ends(axes, ends)
    return figure


def draw_line(axes: Axes, kind: str, seen: Sequence[tuple[int, Spread]]) -> None:
    x, y = [size for size, _ in seen], [spread.middle for _, spread in seen]
    colour = COLOURS[kind][0]
    axes.plot(x, y, color=colour, marker="o", linewidth=2.5 if kind == "offload" else 1.2)
    least, most = [spread.least for _, spread in seen], [spread.most for _, spread in seen]
    axes.fill_between(x, least, most, color=colour, alpha=0.15, linewidth=0)


def name_ends(axes: Axes, ends: Sequence[tuple[str, float, float]]) -> None:
    """(name, x, y): each name at the right edge, near the height of its line's end, without overlap."""
    axes.autoscale_view()
    to_fraction = axes.transScale + axes.transLimits
    ends = sorted(ends, key=lambda end: end[2])
    heights = apart([float(to_fraction.transform((x, y))[1]) for _, x, y in ends], NAME_HEIGHT)
    for (name, x, y), height in zip(ends, heights, strict=True):
        axes.annotate(
            name, (x, y), (1.02, height), textcoords="axes fraction", va="center", fontsize=10, color=INK,
            arrowprops={"arrowstyle": "-", "color": "#999999", "linewidth": 0.7, "relpos": (0.0, 0.5)},
        )  # fmt: skip


def apart(heights: Sequence[float], gap: float) -> list[float]:
    """Growing `heights`, moved upwards and then down from the top until `gap` lies between neighbours, below 1."""
    placed: list[float] = []
    for height in heights:
        placed.append(max(height, placed[-1] + gap) if placed else max(height, 0.0))
    ceiling = 1.0
    for place in reversed(range(len(placed))):
        placed[place] = min(placed[place], ceiling)
        ceiling = placed[place] - gap
    return placed


def both_logarithmic(axes: Axes, sizes: Sequence[int]) -> None:
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xticks(sizes, [f"{size:,}" for size in sizes])
    axes.set_xticks([], minor=True)
    axes.yaxis.set_major_formatter(lambda value, _: number(value))
    axes.set_xlabel("streams open", color=INK)
    axes.tick_params(colors=INK)
    axes.grid(axis="y", color="#dddddd")
    frameless(axes, "bottom")


WHEEL, BUILT, PASSED = "offload", "offload_patched", "passed"
SCALING_COLOURS = {WHEEL: STUCK, BUILT: TRANSFER, PASSED: FREE}
MARKERS = "osD^"  # the series of one server
Line = tuple[str, Callable[[scaling.Point], float], str, str, tuple[scaling.Series, ...]]
LINES: tuple[Line, ...] = (
    (
        "scaling-cpu",
        lambda point: point.event_us,
        "What does an event cost, from the backend to the client?",
        "µs of CPU; dotted: least squares",
        ((WHEEL, 1, 1, 1), (BUILT, 1, 1, 1), (BUILT, 8, 1, 1), (PASSED, 1, 1, 1)),
    ),
    (
        "scaling-last",
        lambda point: point.last_ms,
        "When does the last stream have the event?",
        "ms after it was due",
        ((WHEEL, 1, 1, 1), (BUILT, 1, 1, 1), (BUILT, 2, 1, 1), (PASSED, 1, 1, 1), (PASSED, 1, 1, 2)),
    ),
    (
        "scaling-memory",
        lambda point: point.kib_each,
        "What does each open stream cost?",
        "KiB of memory",
        ((WHEEL, 1, 1, 1), (BUILT, 1, 1, 1), (PASSED, 1, 1, 1)),
    ),
    (
        "scaling-wait",
        lambda point: point.wait_p99_ms,
        "More threads than cores: how long does a bystander wait?",
        "ms, 99 of 100 within",
        ((BUILT, 1, 1, 1), (BUILT, 2, 1, 1), (BUILT, 4, 1, 1), (BUILT, 8, 1, 1), (PASSED, 1, 1, 1)),
    ),
)


def of_scaling(run: Run) -> Iterator[tuple[str, Figure]]:
    """The series that answer the question; the tables have all of them."""
    found = scaling.points(run.results)
    for name, measure, question, unit, pictured in LINES:
        shown = {series: found[series] for series in pictured if series in found}
        figure = lines(shown, measure, logarithmic=name == "scaling-last", fitted=name == "scaling-cpu")
        heading(figure.axes[0], question)
        figure.axes[0].set_ylabel(unit, color=INK)
        yield name, figure


def lines(
    found: dict[scaling.Series, list[scaling.Point]],
    measure: Callable[[scaling.Point], float],
    *,
    logarithmic: bool,
    fitted: bool,
) -> Figure:
    """A line for each series over the number of streams."""
    figure = Figure(figsize=(9, 5), facecolor="white", layout="constrained")
    axes = figure.subplots()
    ends, markers = [], {name: iter(MARKERS) for name in SCALING_COLOURS}
    for name, points in found.items():
        colour = SCALING_COLOURS[name[0]]
        x, y = [point.streams for point in points], [measure(point) for point in points]
        axes.plot(x, y, color=colour, marker=next(markers[name[0]]), linewidth=0 if fitted else 1.5)
        if fitted and len(x) > 1:
            a, b = scaling.line(list(zip(x, y, strict=True)))
            axes.plot([0, x[-1]], [a, a + b * x[-1]], color=colour, linestyle=":", linewidth=1.5)
        ends.append((scaling.title(name), x[-1], y[-1]))
    if logarithmic:
        both_logarithmic(axes, sorted({point.streams for points in found.values() for point in points}))
    else:
        axes.set_ylim(bottom=0)
        axes.xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
        axes.set_xlabel("streams open", color=INK)
        axes.tick_params(colors=INK)
        axes.grid(axis="y", color="#dddddd")
        frameless(axes, "bottom")
    name_ends(axes, ends)
    return figure
