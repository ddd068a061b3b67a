"""How the cost of ours grows with the streams, for each number of threads, workers, backends. From a run of "law"."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from rich import box
from rich.table import Table

from .numbers import NOTHING, Spread, plain
from .plan import Cell
from .records import Run, has_numbers


@dataclass(frozen=True)
class Point:
    """Medians over the rounds. CPU in µs for each event: of the front, of the app behind, of both.

    `slab_kib_each`: the kernel's, for both ends of each connection. `last_ms`: until the last of all streams had the
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


Series = tuple[str, int, int, int]  # contestant, threads, workers, backends


def points(results: Mapping[Cell, Mapping[str, Any]]) -> dict[Series, list[Point]]:
    """By series, with growing numbers of streams; only where every stream was opened."""
    found: dict[Series, list[Point]] = {}
    whole = [(cell, one) for cell, one in results.items() if has_numbers(one) and not one["failures"]]
    whole.sort(key=lambda it: (series(it[0]), it[0].streams))
    for (name, streams), some in groupby(whole, key=lambda it: (series(it[0]), it[0].streams)):
        found.setdefault(name, []).append(point(streams, [one for _, one in some]))
    return found


def series(cell: Cell) -> Series:
    return cell.contestant, cell.threads, cell.workers, cell.backends


def title(one: Series) -> str:
    contestant, *counts = one
    words = zip(counts, ("thread", "worker", "backend"), strict=True)
    said = [f"{count} {word}{'s' * (count > 1)}" for count, word in words if count > 1 or word == "thread"]
    return f"{contestant}, {', '.join(said)}"


def point(streams: int, some: Sequence[Mapping[str, Any]]) -> Point:
    def middle(of: Callable[[Mapping[str, Any]], float]) -> float:
        return Spread.of([of(one) for one in some]).middle

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
    """(a, b) of the straight line a + b x that fits best, by least squares. Raises ValueError for fewer than two x."""
    if len({x for x, _ in pairs}) < 2:
        raise ValueError(f"a line needs two different x, not {pairs}")
    mean_x, mean_y = (sum(column) / len(pairs) for column in zip(*pairs, strict=True))
    b = sum((x - mean_x) * (y - mean_y) for x, y in pairs) / sum((x - mean_x) ** 2 for x, _ in pairs)
    return mean_y - b * mean_x, b


def growth(some: Sequence[Point]) -> tuple[float, float]:
    """CPU for one event: (µs that every event costs, µs more for each 1,000 streams that are open)."""
    return line([(one.streams / 1000, one.event_us) for one in some])


def tables(run: Run) -> Iterator[Table | str]:
    for name, some in points(run.results).items():
        yield title(name)
        yield table(some)
        if len(some) > 1:
            a, b = growth(some)
            yield f"for each event {a:.1f} µs, and {b:.2f} µs more for each 1,000 streams that are open\n"


def table(some: Sequence[Point]) -> Table:
    drawn = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    headings = (
        "streams",
        "front\nµs/event",
        "app\nµs/event",
        "KiB\neach",
        "first\nms",
        "last\nms",
        "wait\np99",
        "open\n/s",
    )
    for heading in headings:
        drawn.add_column(heading, justify="right")
    for one in some:
        cells = (one.front_us, one.events_us, one.kib_each, one.first_ms, one.last_ms, one.wait_p99_ms)
        drawn.add_row(f"{one.streams:,}", *(f"{cell:.1f}" for cell in cells), f"{one.opened_per_s:,.0f}")
    return drawn
