"""The picture of a board that fills. Opaque white and colour-blind safe, for a dark JupyterLab and for print."""

import math
import statistics
from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullLocator

from offload_lab.plots.guesses import number
from offload_lab.plots.streams import frameless, title
from offload_lab.plots.timeline import FREE, INK, STUCK, TRANSFER

from .notebook import Load


def board(loads: Sequence[Load], guess: float | None, guess_at: int) -> Figure:
    """Above, the messages a second that all clients together got; below, what each bystander waited.

    One column for each load, the guess in the column `guess_at`.
    """
    figure = Figure(figsize=(10, 6.4), facecolor="white", layout="constrained")
    throughput, waits = figure.subplots(2, 1, sharex=True, height_ratios=(1, 1.3))
    draw_throughput(throughput, loads)
    draw_waits(waits, loads, guess, guess_at)
    labels = [f"{load.variant}\n{load.clients} client{'s' * (load.clients > 1)}" for load in loads]
    waits.set_xticks(range(len(loads)), labels, fontsize=11, color=INK)
    waits.set_xlim(-0.6, len(loads) - (0.4 if guess is None else 0.1))
    return figure


def draw_throughput(axes: Axes, loads: Sequence[Load]) -> None:
    bars = axes.bar(range(len(loads)), [load.received_per_s for load in loads], 0.6, color=FREE)
    axes.bar_label(bars, [number(round(load.received_per_s)) for load in loads], color=INK, fontsize=11, padding=2)
    axes.set_yticks([])
    axes.tick_params(bottom=False)
    axes.margins(y=0.15)
    frameless(axes, "bottom")
    title(axes, "messages a second that the clients got, all together")


def draw_waits(axes: Axes, loads: Sequence[Load], guess: float | None, guess_at: int) -> None:
    seen = [wait for load in loads for wait in load.waits_ms if math.isfinite(wait)]
    points = [*seen, *([guess] if guess is not None and guess > 0 else [])] or [1.0]
    low, high = min(points) / 2, max(*points, 100.0) * 2
    axes.set_yscale("log")
    axes.set_ylim(low, high)
    for column, load in enumerate(loads):
        finite = [wait for wait in load.waits_ms if math.isfinite(wait)]
        if lost := len(load.waits_ms) - len(finite):
            axes.bar(column, high - low, 0.6, bottom=low, color=STUCK, hatch="////", edgecolor="white", linewidth=0)
            text = f"no answer\nfor {lost} of {len(load.waits_ms)}"
            middle = math.sqrt(low * high)
            axes.text(column, middle, text, ha="center", va="center", fontsize=11, color=INK, backgroundcolor="white")
        spread = [column + 0.4 * ((place * 0.618) % 1 - 0.5) for place in range(len(finite))]
        axes.plot(finite and spread, finite, linestyle="", marker=".", markersize=5, color=FREE, alpha=0.5)
        if finite and not lost:
            median = statistics.median(finite)
            axes.plot([column - 0.3, column + 0.3], [median, median], color=INK, linewidth=2)
            axes.text(column, high / 1.2, f"median\n{number(median)} ms", ha="center", va="top", fontsize=11, color=INK)
    if guess is not None:
        axes.plot([guess_at + 0.38], [max(guess, low)], marker="D", markersize=11, color=TRANSFER, zorder=3)
        axes.annotate(
            f"your guess:\n{number(guess)} ms", (guess_at + 0.38, max(guess, low)), (10, 0),
            textcoords="offset points", va="center", fontsize=11, color=INK,
        )  # fmt: skip
    axes.yaxis.set_major_locator(LogLocator())
    axes.yaxis.set_major_formatter(lambda value, _: number(value))
    axes.yaxis.set_minor_locator(NullLocator())
    axes.tick_params(colors=INK)
    frameless(axes, "bottom", "left")
    title(axes, "a bystander's wait in ms; each dot is one")
