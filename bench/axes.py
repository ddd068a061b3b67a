"""What the pictures of the peers and those of scaling share."""

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from offload_lab.plots.streams import frameless
from offload_lab.plots.timeline import INK

from .report import number

NAME_HEIGHT = 0.042  # of a name at a line's end, as a part of the picture's height


def title_of(figure: Figure) -> str:
    return figure.axes[0].get_title(loc="left")


def heading(axes: Axes, text: str) -> None:
    axes.set_title(text, loc="left", fontsize=12, fontweight="bold", color=INK)


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
