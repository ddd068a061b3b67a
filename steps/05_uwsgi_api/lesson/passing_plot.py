"""The picture of a listener's socket on its way through the processes."""

from collections.abc import Mapping
from itertools import groupby

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from offload_lab.plots.streams import frameless, title
from offload_lab.plots.timeline import FREE, INK, STUCK
from offload_lab.system import NOT_TOLD

from .passing import MOMENTS, PLACES, Held, Way
from .plots import plural

NOWHERE = len(PLACES)
UNTOLD = f"where the socket was: {NOT_TOLD}"


def ways(found: Mapping[str, Way]) -> Figure:
    """A panel for each way: a row for each place, a line for each socket; a cross where no process had one."""
    figure = Figure(figsize=(10, 2.3 * len(found) + 0.5), facecolor="white", layout="constrained")
    panels = figure.subplots(len(found), 1, sharex=True, squeeze=False)[:, 0]
    for axes, (name, way) in zip(panels, found.items(), strict=True):
        draw_way(axes, way)
        once = way.connections == 1
        heading = f"{name}: the listener connected {plural(way.connections, 'time')}"
        title(axes, heading, FREE if once else STUCK)
    panels[-1].set_xticks(range(len(MOMENTS)), MOMENTS, fontsize=11, color=INK)
    return figure


def draw_way(axes: Axes, way: Way) -> None:
    colour = FREE if way.connections == 1 else STUCK
    if not way.held:
        axes.text(0.5, 0.92, UNTOLD, transform=axes.transAxes, ha="center", fontsize=11, color=INK)
    for inode, same in groupby(enumerate(way.held), lambda row: row[1].inode if row[1] else 0):
        places = [(at, row(held), held) for at, held in same]
        axes.plot([at for at, _, _ in places], [height for _, height, _ in places], color=colour, linewidth=2)
        for at, height, held in places:
            axes.plot([at], [height], marker="o" if held else "X", markersize=11, color=colour if held else STUCK)
            label = f"PID {held.pid}, fd {held.fd}" if held else "no process"
            below = axes.annotate(label, (at, height), (0, -11), textcoords="offset points", ha="center", va="top")
            below.set(fontsize=9, bbox={"facecolor": "white", "edgecolor": "none", "pad": 1})  # over the line
        if inode:
            at, height, _ = places[0]
            label = f"socket:[{inode}]"
            axes.annotate(label, (at, height), (0, 10), textcoords="offset points", ha="center", fontsize=9, color=INK)
    axes.set_ylim(NOWHERE - 0.1, -0.75)
    axes.set_xlim(-0.5, len(MOMENTS) - 0.5)
    axes.set_yticks(range(len(PLACES)), PLACES, fontsize=11, color=INK)
    axes.tick_params(left=False, bottom=False, colors=INK)
    frameless(axes)


def row(held: Held | None) -> float:
    return PLACES.index(held.place) if held else NOWHERE - 0.5


def in_words(found: Mapping[str, Way]) -> str:
    """The picture as text."""
    lines = []
    for name, way in found.items():
        places = [held.place if held else "no process" for held in way.held] or [UNTOLD]
        lines.append(f"{name}: {', '.join(places)}; the listener connected {plural(way.connections, 'time')}")
    return "\n".join(lines)
