"""The pictures of the notebooks about WebSockets and the uwsgi API: a board that fills, and ten visitors in a row.

Opaque white and colour-blind safe like the signature picture, so that they read in a dark JupyterLab and in print.
"""

import math
import statistics
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullLocator

from offload_lab.plots.guesses import number
from offload_lab.plots.streams import frameless
from offload_lab.plots.timeline import FREE, INK, STUCK, TRANSFER

if TYPE_CHECKING:  # what is drawn is plain data; the modules that take it need a server, or Jupyter
    from offload_lab.notebook_crash import Visits
    from offload_lab.notebook_websocket import Load


def board(loads: "Sequence[Load]", guess: float | None, guess_at: int) -> Figure:
    """Above, the messages a second that all visitors together heard; below, what each bystander waited. One column a
    load, the guess in the column `guess_at`."""
    figure = Figure(figsize=(10, 6.4), facecolor="white", layout="constrained")
    heard, waited = figure.subplots(2, 1, sharex=True, height_ratios=(1, 1.3))
    draw_heard(heard, loads)
    draw_waits(waited, loads, guess, guess_at)
    labels = [f"{one.variant}\n{one.visitors} visitor{'s' * (one.visitors > 1)}" for one in loads]
    waited.set_xticks(range(len(loads)), labels, fontsize=11, color=INK)
    waited.set_xlim(-0.6, len(loads) - (0.4 if guess is None else 0.1))
    return figure


def draw_heard(axes: Axes, loads: "Sequence[Load]") -> None:
    bars = axes.bar(range(len(loads)), [one.heard_per_s for one in loads], 0.6, color=FREE)
    axes.bar_label(bars, [number(round(one.heard_per_s)) for one in loads], color=INK, fontsize=11, padding=2)
    axes.set_yticks([])
    axes.tick_params(bottom=False)
    axes.margins(y=0.15)
    frameless(axes, "bottom")
    title(axes, "messages a second that the visitors got, all together")


def draw_waits(axes: Axes, loads: "Sequence[Load]", guess: float | None, guess_at: int) -> None:
    seen = [wait for one in loads for wait in one.waits_ms if math.isfinite(wait)]
    points = [*seen, *([guess] if guess is not None and guess > 0 else [])] or [1.0]
    low, high = min(points) / 2, max(*points, 100.0) * 2
    axes.set_yscale("log")
    axes.set_ylim(low, high)
    for column, one in enumerate(loads):
        finite = [wait for wait in one.waits_ms if math.isfinite(wait)]
        if lost := len(one.waits_ms) - len(finite):
            axes.bar(column, high - low, 0.6, bottom=low, color=STUCK, hatch="////", edgecolor="white", linewidth=0)
            words = f"no answer\nfor {lost} of {len(one.waits_ms)}"
            middle = math.sqrt(low * high)
            axes.text(column, middle, words, ha="center", va="center", fontsize=11, color=INK, backgroundcolor="white")
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


def title(axes: Axes, words: str, colour: str = INK) -> None:
    axes.set_title(words, loc="left", fontsize=13, fontweight="bold", color=colour)


def visitors_in_a_row(cases: "Mapping[str, Visits]", guess: float | None, guess_at: str) -> Figure:
    """A row for each case: a dot for who got an event, a cross for who got an empty reply, and below it the worker.

    A worker's line ends where it died. The guess stands in the row `guess_at`, beside the number that was served.
    """
    figure = Figure(figsize=(10, 1.75 * len(cases) + 0.4), facecolor="white", layout="constrained")
    panels = figure.subplots(len(cases), 1, sharex=True, squeeze=False)[:, 0]
    for axes, (name, these) in zip(panels, cases.items(), strict=True):
        draw_row(axes, these)
        words = f"{name}: {these.served} of {len(these.asked)} served, {plural(these.workers, 'worker')}"
        if guess is not None and name == guess_at:
            words += f"   (your guess: {number(guess)})"
        title(axes, words, FREE if these.served == len(these.asked) else STUCK)
    most = max(len(these.asked) for these in cases.values())
    panels[-1].set_xticks(range(most), [str(place + 1) for place in range(most)], fontsize=11, color=INK)
    panels[-1].set_xlabel("visitors, one after the other; a dot is an event, a cross an empty reply", color=INK)
    return figure


def draw_row(axes: Axes, these: "Visits") -> None:
    pids = [one.pid for one in these.asked] + [these.last_pid]
    for place, one in enumerate(these.asked):
        served = one.came is not None
        axes.plot(
            [place], [0], marker="o" if served else "X", markersize=13, color=FREE if served else STUCK, linestyle=""
        )
        same = pids[place + 1] == one.pid
        axes.plot([place - 0.4, place + (0.6 if same else 0.3)], [1, 1], color=INK, linewidth=2, solid_capstyle="butt")
        if place == 0 or pids[place - 1] != one.pid:
            axes.text(place - 0.4, 1.25, f"PID {one.pid}", ha="left", va="top", fontsize=9, color=INK)
    axes.set_ylim(2.1, -0.7)
    axes.set_xlim(-0.8, len(these.asked) - 0.1)
    axes.set_yticks([0, 1], ["what came", "worker"], fontsize=11)
    axes.tick_params(left=False, bottom=False, colors=INK)
    frameless(axes)


def plural(count: int, what: str) -> str:
    return f"{count} {what}{'s' * (count != 1)}"
