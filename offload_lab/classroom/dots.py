"""A dot plot's coordinates: a dot for each guess, stacked where they meet, and a line where it was measured. No I/O."""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

LOG_FROM_RATIO = 20  # from here on a linear axis no longer shows both ends
WIDTH, HEIGHT = 1000, 360
LEFT, RIGHT, BASE = 50, 940, 300  # of the axis
RADIUS = 15
COLUMNS = 28
HIGHEST = (BASE - 40) // (2 * RADIUS)  # dots in a column before they move closer together


@dataclass(frozen=True)
class DotPlot:
    """Coordinates in a picture of WIDTH times HEIGHT. `ticks`: place and value; `line`: where it was measured."""

    dots: tuple[tuple[float, float], ...]
    ticks: tuple[tuple[float, str], ...]
    line: float | None

    @property
    def leans_left(self) -> bool:
        """Whether the line's label stands to the left of it, as there is no room at its right."""
        return self.line is not None and self.line > WIDTH / 2


def dot_plot(guesses: Sequence[float], measured: float | None) -> DotPlot:
    """`measured`: None until it may be seen, as the axis would tell where it is."""
    values = [*guesses, *([] if measured is None else [measured])]
    axis = Axis(values)
    columns = Counter[int]()
    dots = []
    for guess in sorted(guesses):
        column = round(axis.share(guess) * COLUMNS)
        dots.append((column, columns[column]))
        columns[column] += 1
    step = 2 * RADIUS * min(1.0, HIGHEST / max(columns.values(), default=1))
    return DotPlot(
        tuple((place(column / COLUMNS), BASE - RADIUS - 4 - row * step) for column, row in dots),
        tuple((place(axis.share(value)), short(value)) for value in axis.ticks()),
        None if measured is None else place(axis.share(measured)),
    )


class Axis:
    """From the smallest to the largest value, logarithmic where they lie far apart; what is 0 then stands at its left
    end."""

    def __init__(self, values: Sequence[float]) -> None:
        positive = [value for value in values if value > 0]
        self.low, self.high = min(values, default=0.0), max(values, default=1.0)
        self.log = bool(positive) and self.high / min(positive) > LOG_FROM_RATIO
        if self.log:
            self.low = 10.0 ** math.floor(math.log10(min(positive)))
            self.high = 10.0 ** math.ceil(math.log10(self.high))
        else:
            self.low, self.high = 0.0, (self.high or 1.0) * 1.1

    def share(self, value: float) -> float:
        """Where `value` stands, 0 to 1."""
        if not self.log:
            return (value - self.low) / (self.high - self.low)
        if value <= self.low:
            return 0.0
        return math.log(value / self.low) / math.log(self.high / self.low)

    def ticks(self) -> list[float]:
        if self.log:
            decades = round(math.log10(self.high / self.low))
            every = max(1, math.ceil(decades / 6))
            return [self.low * 10.0**power for power in range(0, decades + 1, every)]
        step = nice(self.high / 5)
        return [index * step for index in range(int(self.high / step) + 1)]


def nice(step: float) -> float:
    """The smallest of 1, 2, 5, 10, … times a power of ten that is not below `step`."""
    power = 10.0 ** math.floor(math.log10(step))
    return next(factor * power for factor in (1, 2, 5, 10) if factor * power >= step)


def place(share: float) -> float:
    return round(LEFT + share * (RIGHT - LEFT), 1)


def short(value: float) -> str:
    """With three digits that matter."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
