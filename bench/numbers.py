"""Results → the numbers that are compared. For all of them, less is better."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from statistics import median
from typing import Any

from .plan import Cell
from .records import has_numbers

Result = Mapping[str, Any]
NOTHING = math.nan


@dataclass(frozen=True)
class Measure:
    """One number of a result, NaN where there is none. `heading` has two lines; LEGEND explains them."""

    heading: str
    of: Callable[[Result], float]


def plain(key: str) -> Callable[[Result], float]:
    """The number under `key`; None is infinity."""
    return lambda result: math.inf if result[key] is None else float(result[key])


def per(what: str, amount: str, unit: float) -> Callable[[Result], float]:
    """`what` of all processes together, for each `unit` of `amount`."""
    return lambda result: unit * sum(result[what].values()) / result[amount] if result[amount] else NOTHING


def failures(result: Result) -> float:
    """Streams that were not opened or were lost, and events more than a second late or never received."""
    not_opened = [*result["failures"].values(), *result.get("again_failures", {}).values()]
    return float(sum(not_opened) + max(0, result.get("lost", 0)) + result.get("missed", 0))


OPENED = Measure("open\ns", lambda result: result["opened_s"] if not result["failures"] else NOTHING)
AGAIN = Measure("again\ns", lambda result: result["again_s"] if not result["again_failures"] else NOTHING)
IDLE = Measure("idle\np99", plain("idle_p99_ms"))
WAIT_P50 = Measure("wait\np50", plain("wait_p50_ms"))
WAIT_P99 = Measure("wait\np99", plain("wait_p99_ms"))
WAIT_WORST = Measure("wait\nworst", plain("wait_worst_ms"))
LATE_P50 = Measure("late\np50", plain("late_p50_ms"))
LATE_P99 = Measure("late\np99", plain("late_p99_ms"))
LATE_WORST = Measure("late\nworst", plain("late_worst_ms"))
FIRST = Measure("event\nfirst", plain("first_ms"))
LAST = Measure("event\nlast", plain("last_ms"))
CPU = Measure("CPU\nms", per("cpu_s", "counted_events", 1e6))
CPU_GIB = Measure("CPU\ns", per("cpu_s", "counted_mib", 1024.0))
MEMORY = Measure("each\nKiB", lambda result: sum(result["kib_each"].values()) or NOTHING)
FAILED = Measure("fail-\nures", failures)
# recordings before 28 November 2026 lack these two
THREADS = Measure("threads", lambda result: sum(result.get("threads", {}).values()) or NOTHING)
OPEN_CPU = Measure(
    "CPU to\nopen ms",
    lambda result: 1000 * sum(result.get("open_cpu_s", {}).values()) / max(1, result["established"]) or NOTHING,
)

LEGEND = (
    "open, again: s until the last was answered · idle, wait: ms that a bystander waits, before and during the workload"
    " · late, event: ms after an event was due · CPU: ms for 1,000 events, s for a GiB of files · each: KiB of memory"
    " for a stream · failures: streams not opened or lost, events late by more than a second"
)
MEASURES: dict[str, tuple[Measure, ...]] = {
    "hold": (OPENED, IDLE, WAIT_P50, WAIT_P99, WAIT_WORST, LATE_P50, LATE_P99, CPU, MEMORY, FAILED),
    "broadcast": (OPENED, IDLE, WAIT_P50, WAIT_P99, WAIT_WORST, FIRST, LAST, CPU, MEMORY, FAILED),
    "storm": (OPENED, AGAIN, IDLE, WAIT_P50, WAIT_P99, WAIT_WORST, FAILED),
    "poison": (IDLE, WAIT_P50, WAIT_P99, WAIT_WORST, LATE_P50, LATE_P99, LATE_WORST, FAILED),
    "download": (IDLE, WAIT_P50, WAIT_P99, WAIT_WORST, CPU_GIB, MEMORY, FAILED),
}
COMPARED: dict[str, tuple[Measure, ...]] = {
    "hold": (OPENED, WAIT_P99, LATE_P99, CPU, MEMORY),
    "broadcast": (WAIT_P99, FIRST, LAST, CPU, MEMORY),
    "storm": (OPENED, AGAIN, WAIT_P99),
    "poison": (WAIT_P50, WAIT_P99, LATE_P99),
    "download": (WAIT_P99, CPU_GIB, MEMORY),
}


@dataclass(frozen=True)
class Spread:
    """Median, minimum and maximum over the rounds. NaN where there was nothing to measure."""

    middle: float
    least: float
    most: float

    @classmethod
    def of(cls, values: list[float]) -> "Spread":
        seen = [value for value in values if not math.isnan(value)]
        return cls(median(seen), min(seen), max(seen)) if seen else cls(NOTHING, NOTHING, NOTHING)


def rounds(results: Mapping[Cell, Result], server: str, workload: str, streams: int) -> dict[int, Result]:
    """By round, the results that have numbers."""
    return {
        cell.round: result
        for cell, result in results.items()
        if (cell.server, cell.workload, cell.streams) == (server, workload, streams) and has_numbers(result)
    }


def values(by_round: Mapping[int, Result], measure: Measure) -> Spread:
    return Spread.of([measure.of(result) for result in by_round.values()])


def ratios(by_round: Mapping[int, Result], reference: Mapping[int, Result], measure: Measure) -> Spread:
    """Multiples of the reference, round by round."""
    both = [(result, reference[turn]) for turn, result in by_round.items() if turn in reference]
    return Spread.of([ratio(measure.of(result), measure.of(base)) for result, base in both])


def ratio(value: float, reference: float) -> float:
    """NaN where either is, or where the reference is 0 or infinite."""
    return NOTHING if not reference > 0 or math.isinf(reference) else value / reference
