"""How the cost of offloading grows with the streams, by number of threads, workers, backends. From a "scaling" run."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from statistics import linear_regression
from typing import Any

from rich import box
from rich.table import Table

from .numbers import NOTHING, Spread, plain
from .plan import Cell
from .records import Run, has_numbers


@dataclass(frozen=True)
class Point:
    """Medians over the rounds. CPU in µs for each event: of the front, of the backend, of both.

    `slab_kib_each`: kernel memory, for both ends of each connection. `last_ms`: until the last of all streams had the
    event. `wait_p99_ms`: a bystander's.
    """

    streams: int
    front_us: float
    events_us: float
    event_us: float
    kib_each: float
    slab_kib_each: float
    first_ms: float
    last_ms: float
    wait_p99_ms: float
    opened_per_s: float


Series = tuple[str, int, int, int]  # server, threads, workers, backends


def points(results: Mapping[Cell, Mapping[str, Any]]) -> dict[Series, list[Point]]:
    """By series, with growing numbers of streams; only where every stream was opened."""
    found: dict[Series, list[Point]] = {}
    complete = [(cell, result) for cell, result in results.items() if has_numbers(result) and not result["failures"]]
    complete.sort(key=lambda it: (series(it[0]), it[0].streams))
    for (name, streams), rounds in groupby(complete, key=lambda it: (series(it[0]), it[0].streams)):
        found.setdefault(name, []).append(point(streams, [result for _, result in rounds]))
    return found


def series(cell: Cell) -> Series:
    return cell.server, cell.threads, cell.workers, cell.backends


def title(name: Series) -> str:
    server, *counts = name
    counted = zip(counts, ("thread", "worker", "backend"), strict=True)
    parts = [f"{count} {noun}{'s' * (count > 1)}" for count, noun in counted if count > 1 or noun == "thread"]
    return f"{server}, {', '.join(parts)}"


def point(streams: int, rounds: Sequence[Mapping[str, Any]]) -> Point:
    def middle(of: Callable[[Mapping[str, Any]], float]) -> float:
        return Spread.of([of(result) for result in rounds]).middle

    def each_us(result: Mapping[str, Any], cpu_s: float) -> float:
        return 1e6 * cpu_s / result["counted_events"] if result["counted_events"] else NOTHING

    return Point(
        streams,
        front_us=middle(lambda it: each_us(it, it["cpu_s"]["front"])),
        events_us=middle(lambda it: each_us(it, it["cpu_s"]["events"])),
        event_us=middle(lambda it: each_us(it, sum(it["cpu_s"].values()))),
        kib_each=middle(lambda it: sum(it["kib_each"].values())),
        slab_kib_each=middle(lambda it: it["slab_kib_each"]),
        first_ms=middle(plain("first_ms")),
        last_ms=middle(plain("last_ms")),
        wait_p99_ms=middle(plain("wait_p99_ms")),
        opened_per_s=middle(lambda it: it["established"] / it["opened_s"] if it["opened_s"] else NOTHING),
    )


def line(pairs: Sequence[tuple[float, float]]) -> tuple[float, float]:
    """(a, b) of the straight line a + b x that fits best, by least squares.

    Raises: StatisticsError, a ValueError, for fewer than two x.
    """
    b, a = linear_regression(*zip(*pairs, strict=True))
    return a, b


def growth(points: Sequence[Point]) -> tuple[float, float]:
    """CPU for one event: (µs that every event costs, µs more for each 1,000 open streams)."""
    return line([(point.streams / 1000, point.event_us) for point in points])


def tables(run: Run) -> Iterator[Table | str]:
    for name, of_series in points(run.results).items():
        yield title(name)
        yield table(of_series)
        if len(of_series) > 1:
            a, b = growth(of_series)
            yield f"for each event {a:.1f} µs, and {b:.2f} µs more for each 1,000 open streams\n"


COLUMNS = ("streams", "front\nµs/event", "app\nµs/event", "KiB\neach", "first\nms", "last\nms", "wait\np99", "open\n/s")


def table(points: Sequence[Point]) -> Table:
    drawn = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for heading in COLUMNS:
        drawn.add_column(heading, justify="right")
    for at in points:
        cells = (at.front_us, at.events_us, at.kib_each, at.first_ms, at.last_ms, at.wait_p99_ms)
        drawn.add_row(f"{at.streams:,}", *(f"{cell:.1f}" for cell in cells), f"{at.opened_per_s:,.0f}")
    return drawn
