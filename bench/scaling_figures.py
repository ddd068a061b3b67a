"""The pictures of a scaling run, one question each."""

from collections.abc import Callable, Iterator

from matplotlib.figure import Figure

from offload_lab.plots.streams import frameless
from offload_lab.plots.timeline import FREE, INK, STUCK, TRANSFER

from . import scaling
from .axes import both_logarithmic, heading, name_ends
from .records import Run

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
