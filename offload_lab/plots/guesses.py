"""Pictures for notebooks: a guess beside the measured value, and memory by file size.

Opaque white and colour-blind safe like the signature picture, so that they read in a dark JupyterLab and in print.
"""

import math
import textwrap
from collections.abc import Mapping, Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from offload_lab.measure.guesses import CLOSE_RATIO, Guess

from .timeline import FREE, INK, STUCK, TRANSFER

LOG_FROM_RATIO = 20  # from here on two numbers on a linear axis no longer show both
HATCHES = ("////", "", "..")
QUESTION_WIDTH, QUESTION_PT = 46, 290  # characters, and the room for them beside the axis
LEAST_RANGE = 20  # times, on both sides of what was measured


def number(value: float) -> str:
    """With the digits that matter: 1,573 and 15.7 and 3.1 and 0.82."""
    digits = 0 if abs(value) >= 100 or value == int(value) else 1 if abs(value) >= 1 else 2
    return f"{value:,.{digits}f}"


def verdict(guess: float, measured: float) -> str:
    """How far the guess was off, in words."""
    if guess == measured:
        return "exactly so"
    if guess <= 0 or measured <= 0:
        return "not the same thing at all" if abs(guess - measured) > 1 else "about right"
    ratio = max(guess, measured) / min(guess, measured)
    if ratio <= CLOSE_RATIO:
        return "about right"
    return f"your guess was {number(ratio)} times too {'small' if measured > guess else 'large'}"


def guess_beside(guess: float | None, measured: float, unit: str) -> Figure:
    """Both numbers on one axis, logarithmic where they lie far apart; only the measured one where `guess` is None."""
    figure = Figure(figsize=(10, 1.9), facecolor="white", layout="constrained")
    axes = figure.subplots()
    if not math.isfinite(measured):
        axes.set_axis_off()
        axes.set_title(
            "infinite: a bystander was never answered", loc="left", fontsize=13, fontweight="bold", color=STUCK
        )
        return figure
    points = [measured] if guess is None else [guess, measured]
    scale(axes, points)
    axes.set_ylim(-1, 1)
    axes.set_yticks([])
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.set_xlabel(unit, color=INK)
    if guess is not None:
        axes.plot([guess, measured], [0, 0], color=INK, linewidth=1, linestyle=":")
        mark(axes, guess, 0.55, "D", TRANSFER, f"your guess: {number(guess)} {unit}")
    mark(axes, measured, -0.55, "o", FREE, f"measured: {number(measured)} {unit}")
    title = "what was measured" if guess is None else verdict(guess, measured)
    axes.set_title(title, loc="left", fontsize=13, fontweight="bold", color=INK)
    return figure


def scale(axes: Axes, points: list[float]) -> None:
    low, high = min(points), max(points)
    if low > 0 and high / low > LOG_FROM_RATIO:
        axes.set_xscale("log")
        axes.xaxis.set_major_formatter(lambda value, _: number(value))
        axes.set_xlim(low / 3, high * 3)
    else:
        axes.xaxis.set_major_formatter(lambda value, _: number(value))
        room = max(high, 0) - min(low, 0) or 1
        axes.set_xlim(min(low - 0.1 * room, 0), high + 0.25 * room)


def mark(axes: Axes, value: float, height: float, marker: str, colour: str, text: str) -> None:
    """A mark on the line and its words above or below it, turned inwards so that they stay on the picture."""
    axes.plot([value], [0], marker=marker, markersize=11, color=colour, clip_on=False, zorder=3)
    place = axes.transAxes.inverted().transform(axes.transData.transform((value, 0)))[0]
    side = "left" if place < 0.3 else "right" if place > 0.7 else "center"
    axes.text(value, height, text, ha=side, va="center", fontsize=12, color=INK)


def memory(peaks: Mapping[str, Mapping[int, float]]) -> Figure:
    """Bars of a worker's memory in MiB: `peaks` by variant, then by the file's size in MiB."""
    figure = Figure(figsize=(10, 3.8), facecolor="white", layout="constrained")
    axes = figure.subplots()
    sizes = sorted({size for row in peaks.values() for size in row})
    width = 0.8 / len(peaks)
    for place, (variant, row) in enumerate(peaks.items()):
        colour, hatch = (STUCK, TRANSFER, FREE)[place % 3], HATCHES[place % 3]
        at = [index + (place - (len(peaks) - 1) / 2) * width for index in range(len(sizes))]
        bars = axes.bar(at, [row[size] for size in sizes], width * 0.9, label=variant, color=colour, hatch=hatch)
        for bar in bars:
            bar.set_edgecolor("white")
        axes.bar_label(bars, [number(round(row[size])) for size in sizes], color=INK, fontsize=11, padding=2)
    axes.set_xticks(range(len(sizes)), [f"a file of {size} MiB" for size in sizes], fontsize=11, color=INK)
    axes.set_title("the worker's memory while it serves one client, in MiB", loc="left", fontsize=13, color=INK)
    axes.set_yticks([])
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.legend(frameon=False, fontsize=11, labelcolor=INK, loc="upper left")
    return figure


def all_guesses(rows: Sequence[Guess]) -> Figure:
    """A row for each guess, the furthest off on top: how many times what was measured, on a logarithmic axis.

    A guess of nothing, or of something where nothing was measured, stands at the edge.
    """
    rows = sorted(rows, key=lambda guess: guess.off)
    figure = Figure(figsize=(10, 0.8 * len(rows) + 1.6), facecolor="white", layout="constrained")
    axes = figure.subplots()
    edge = 3 * max([LEAST_RANGE, *(guess.off for guess in rows if math.isfinite(guess.off))])
    axes.set_xscale("log")
    axes.set_xlim(1 / edge / 2, edge * 2)
    axes.set_ylim(-0.6, len(rows) - 0.4)
    axes.axvspan(1 / CLOSE_RATIO, CLOSE_RATIO, color=FREE, alpha=0.15, linewidth=0)
    axes.axvline(1, color=FREE, linewidth=2)
    for height, guess in enumerate(rows):
        draw_guess(axes, height, guess, edge)
    axes.set_yticks(range(len(rows)), [asked(guess) for guess in rows], fontsize=11, color=INK, ha="left")
    axes.tick_params(axis="y", left=False, pad=QUESTION_PT)
    axes.minorticks_off()
    axes.xaxis.set_major_formatter(lambda ratio, _: "measured" if ratio == 1 else times(ratio))
    axes.set_xlabel("◀  too small        your guess, compared with what was measured        too large  ▶", color=INK)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    small, large = (
        sum(guess.off > CLOSE_RATIO and (guess.ratio < 1) == way for guess in rows) for way in (True, False)
    )
    right = len(rows) - small - large
    title = f"{len(rows)} guesses: {small} too small, {right} about right, {large} too large"
    figure.suptitle(title, x=0.01, ha="left", fontsize=13, fontweight="bold", color=INK)
    return figure


def draw_guess(axes: Axes, height: int, guess: Guess, edge: float) -> None:
    place = min(max(guess.ratio, 1 / edge), edge)
    close = guess.off <= CLOSE_RATIO
    colour = FREE if close else STUCK
    shape = "o" if close else "D" if math.isfinite(guess.off) else "<" if place < 1 else ">"
    axes.plot([1, place], [height, height], color=colour, linewidth=3, solid_capstyle="butt")
    axes.plot([place], [height], marker=shape, markersize=11, color=colour)
    if not close:
        way, side = (-10, "right") if place < 1 else (10, "left")
        axes.annotate(
            times(guess.off), (place, height), (way, 0), textcoords="offset points",
            ha=side, va="center", fontsize=11, color=INK,
        )  # fmt: skip


def asked(guess: Guess) -> str:
    """Two or three lines: the question, and both numbers."""
    measured = number(guess.measured) if math.isfinite(guess.measured) else "no end of"
    lines = textwrap.wrap(f"{guess.notebook.partition('_')[0]} · {guess.question}", QUESTION_WIDTH)
    return "\n".join([*lines, f"you guessed {number(guess.guess)}, measured {measured} {guess.unit}"])


def times(ratio: float) -> str:
    """The factor by which two numbers differ, either way."""
    off = max(ratio, 1 / ratio)
    return "∞" if math.isinf(off) else f"{number(round(off) if off >= 10 else off)} times"
