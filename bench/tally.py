"""What was seen → the numbers that are written down. No socket here."""

from typing import Any

from offload_lab.errors import LabError
from offload_lab.measure.load import percentile

GRACE_S = 1.0  # an event that is later than this counts as missed

Result = dict[str, Any]
Late = dict[float, list[float]]  # how late each copy came, in s, by the moment at which the event was due


def bystanders(idle: list[float], waits: list[float]) -> Result:
    """In ms; None stands for ever. Raises LabError where nobody asked: there are no numbers then."""
    if not idle or not waits:
        when = "beside it" if idle else "before it began"
        raise LabError(f"no bystander asked {when}; is this machine out of descriptors or ports? (ulimit -n, ss -s)")
    return {
        "idle_p50_ms": finite(percentile(idle, 50)),
        "idle_p99_ms": finite(percentile(idle, 99)),
        "wait_p50_ms": finite(percentile(waits, 50)),
        "wait_p99_ms": finite(percentile(waits, 99)),
        "wait_worst_ms": finite(max(waits)),
        "asked": len(waits),
        "given_up": waits.count(float("inf")),
    }


def finite(value: float) -> float | None:
    """JSON has no infinity."""
    return None if value == float("inf") else value


def lateness(heard: list[list[float]], expected: int) -> Result:
    """`heard`: for each event, how late each copy came, in s. A sleep may end early, by less than a clock's tick."""
    late = [max(0.0, one) for some in heard for one in some]
    return {
        "events": len(late),
        "missed": max(0, expected - sum(one <= GRACE_S for one in late)),
        "late_p50_ms": 1000 * percentile(late, 50) if late else None,
        "late_p99_ms": 1000 * percentile(late, 99) if late else None,
        "late_worst_ms": 1000 * max(late) if late else None,
    }


def together(*parts: Late) -> Late:
    return {
        due: [one for part in parts for one in part.get(due, [])] for due in {due for part in parts for due in part}
    }
