"""Samples → the numbers that are recorded. No socket here."""

from typing import Any

from offload_lab.errors import LabError
from offload_lab.measure.load import percentile

GRACE_S = 1.0  # an event later than this counts as missed

Result = dict[str, Any]
Late = dict[float, list[float]]  # seconds by which each copy of an event was late, by the event's due time


def bystanders(idle: list[float], waits: list[float]) -> Result:
    """Percentiles of the probes' waits in ms; None stands for infinite.

    Raises: LabError without any probe: there are no numbers then.
    """
    if not idle or not waits:
        when = "during the workload" if idle else "before the workload"
        raise LabError(f"no probe was sent {when}; is this machine out of descriptors or ports? (ulimit -n, ss -s)")
    return {
        "idle_p50_ms": finite(percentile(idle, 50)),
        "idle_p99_ms": finite(percentile(idle, 99)),
        "wait_p50_ms": finite(percentile(waits, 50)),
        "wait_p99_ms": finite(percentile(waits, 99)),
        "wait_worst_ms": finite(max(waits)),
        "probes": len(waits),
        "unanswered": waits.count(float("inf")),
    }


def finite(value: float) -> float | None:
    """JSON has no infinity."""
    return None if value == float("inf") else value


def lateness(received: list[list[float]], expected: int) -> Result:
    """`received`: for each event, seconds by which each copy was late; below 0 where a sleep ended a tick early."""
    late = [max(0.0, delay) for copies in received for delay in copies]
    return {
        "events": len(late),
        "missed": max(0, expected - sum(delay <= GRACE_S for delay in late)),
        "late_p50_ms": 1000 * percentile(late, 50) if late else None,
        "late_p99_ms": 1000 * percentile(late, 99) if late else None,
        "late_worst_ms": 1000 * max(late) if late else None,
    }


def merge(*parts: Late) -> Late:
    return {due: [delay for part in parts for delay in part.get(due, [])] for due in set().union(*parts)}
