"""Pictures of open streams: answered bystanders by number of streams, events over time, waits beside many streams.

Opaque white and colour-blind safe like the signature picture, so that they read in a dark JupyterLab and in print.
"""

import math
from collections.abc import Mapping, Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullLocator

from offload_lab.measure.load import LoadResult, percentile
from offload_lab.measure.streams import Arrivals

from .guesses import number
from .timeline import FREE, INK, STUCK, TRANSFER

COLOURS = ((STUCK, "////"), (FREE, ""))
MARK_HEIGHT = 0.32


def title(axes: Axes, text: str, colour: str = INK) -> None:
    axes.set_title(text, loc="left", fontsize=13, fontweight="bold", color=colour)


def frameless(axes: Axes, *keep: str) -> None:
    for side in {"top", "right", "left", "bottom"} - set(keep):
        axes.spines[side].set_visible(False)


def answered_of(
    asked: int, counts: Mapping[str, Mapping[int, int]], guess: float | None, guess_at: tuple[str, int]
) -> Figure:
    """Bars: how many of `asked` bystanders were answered, by variant and then by number of open streams.

    `guess` stands beside the bar `guess_at`.
    """
    figure = Figure(figsize=(10, 3.8), facecolor="white", layout="constrained")
    axes = figure.subplots()
    sizes = sorted({size for row in counts.values() for size in row})
    width = 0.7 / len(counts)
    for place, (variant, row) in enumerate(counts.items()):
        colour, hatch = COLOURS[place % len(COLOURS)]
        at = [index + (place - (len(counts) - 1) / 2) * width for index in range(len(sizes))]
        bars = axes.bar(at, [row[size] for size in sizes], width * 0.9, color=colour, hatch=hatch)
        for bar in bars:
            bar.set_edgecolor("white")
        axes.bar_label(bars, [f"{variant}: {row[size]}" for size in sizes], color=INK, fontsize=11, padding=3)
        if guess is not None and variant == guess_at[0]:
            x = at[sizes.index(guess_at[1])] + width * 0.62
            axes.plot([x], [guess], marker="D", markersize=11, color=TRANSFER, clip_on=False, zorder=3)
            axes.annotate(
                f"your guess: {number(guess)}",
                (x, guess), (10, 0), textcoords="offset points", va="center", fontsize=11, color=INK,
            )  # fmt: skip
    axes.set_xticks(range(len(sizes)), [f"{size} open stream{'s' * (size > 1)}" for size in sizes], fontsize=11)
    axes.tick_params(colors=INK)
    axes.set_yticks([])
    axes.set_xlim(-0.6, len(sizes) - 1 + (0.6 if guess is None else 1.1))
    axes.set_ylim(0, max(asked, guess or 0) * 1.15)
    frameless(axes, "bottom")
    axes.set_title(f"answered, of {asked} bystanders", loc="left", fontsize=13, fontweight="bold", color=INK)
    return figure


def events_over_time(recordings: Sequence[Arrivals], meanwhile: str) -> Figure:
    """A panel for each recording, a row for each stream, a mark for each event.

    Shaded is the time in which Django did something else; `meanwhile` names it.
    """
    figure = Figure(figsize=(10, 2.1 * len(recordings) + 0.7), facecolor="white", layout="constrained")
    panels = figure.subplots(len(recordings), 1, sharex=True, squeeze=False)[:, 0]
    for axes, recording in zip(panels, recordings, strict=True):
        silent = recording.longest_silence_s > (recording.ended - recording.began) / 2
        axes.axvspan(recording.began, recording.ended, facecolor=TRANSFER, alpha=0.35, edgecolor="none")
        axes.text(
            (recording.began + recording.ended) / 2, -0.95, meanwhile, ha="center", va="center", fontsize=10, color=INK
        )
        for row, times in enumerate(recording.streams):
            axes.vlines(times, row - MARK_HEIGHT, row + MARK_HEIGHT, color=STUCK if silent else FREE, linewidth=2.5)
        axes.set_ylim(len(recording.streams) - 0.4, -1.5)
        axes.set_yticks(
            range(len(recording.streams)), [f"stream {row + 1}" for row in range(len(recording.streams))], fontsize=10
        )
        axes.tick_params(left=False, colors=INK)
        frameless(axes, "bottom")
        axes.set_title(
            f"{recording.variant}: the longest silence was {number(recording.longest_silence_s)} s",
            loc="left", fontsize=13, fontweight="bold", color=STUCK if silent else FREE,
        )  # fmt: skip
    panels[-1].set_xlabel("seconds; each mark is one event", color=INK)
    panels[-1].set_xlim(0, max(recording.lasts for recording in recordings))
    return figure


def crowd_waits(crowd: LoadResult) -> Figure:
    """Each bystander's wait, with no stream open and beside all of them, with the median and the 99th percentile."""
    figure = Figure(figsize=(10, 3.0), facecolor="white", layout="constrained")
    axes = figure.subplots()
    rows = (("no stream open", crowd.alone_ms), (f"{crowd.streams:,} streams open", crowd.beside_ms))
    seen = [wait for _, waits in rows for wait in waits if math.isfinite(wait)]
    for height, ((_, waits), colour) in enumerate(zip(rows, (FREE, STUCK), strict=True)):
        finite = [wait for wait in waits if math.isfinite(wait)]
        spread = [height + 0.25 * ((place * 0.618) % 1 - 0.5) for place in range(len(finite))]
        axes.plot(finite, spread, linestyle="", marker=".", markersize=5, color=colour, alpha=0.5)
        for percent, side in ((50, "right"), (99, "left")):
            value = percentile(waits, percent)
            if not math.isfinite(value):
                continue
            axes.plot([value, value], [height - 0.22, height + 0.22], color=INK, linewidth=1.5)
            text = f"median {number(value)} ms " if percent == 50 else f" 99 of 100 within {number(value)} ms"
            axes.text(value, height - 0.33, text, ha=side, va="center", fontsize=10, color=INK)
        lost = len(waits) - len(finite)
        axes.text(
            1, height + 0.33, f"{lost} never answered" * bool(lost), transform=axes.get_yaxis_transform(), ha="right"
        )
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_major_formatter(lambda value, _: number(value))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xlim(min(seen, default=1) / 2, max(seen, default=1) * 2)
    axes.set_ylim(1.5, -0.6)
    axes.set_yticks([0, 1], [label for label, _ in rows], fontsize=11)
    axes.tick_params(left=False, colors=INK)
    frameless(axes, "bottom")
    axes.set_xlabel("a bystander's wait in ms; each dot is one", color=INK)
    title = f"one Django worker, and {crowd.streams:,} streams"
    axes.set_title(title, loc="left", fontsize=13, fontweight="bold", color=INK)
    return figure
