"""One factor for every timeout: ``LAB_TIMEOUT_FACTOR``, read whenever a wait begins.

It is a number, 1 unless set, or ``load``: then it follows the machine's load. A timeout ends a wait that has become
useless. It is never what is measured, so a slow or busy machine may have more.
"""

import math
import os

from offload_lab.errors import LabError

VARIABLE = "LAB_TIMEOUT_FACTOR"
FOLLOWS_LOAD = "load"


def scaled(seconds: float) -> float:
    """`seconds` times the factor.

    Raises: LabError for a factor that is neither ``load`` nor a number above 0.
    """
    factor = os.environ.get(VARIABLE) or "1"
    if factor == FOLLOWS_LOAD:
        return seconds * load_factor()
    try:
        number = float(factor)
    except ValueError:
        number = 0
    if not 0 < number < math.inf:
        raise LabError(f"{VARIABLE} is {factor!r}; give a number above 0, such as 3, or {FOLLOWS_LOAD}, or unset it")
    return seconds * number


def follow_load() -> None:
    """Let the factor follow the machine's load, unless it is set."""
    os.environ.setdefault(VARIABLE, FOLLOWS_LOAD)


def load_factor() -> float:
    """The factor for this machine's present load."""
    return factor_for_load(os.getloadavg()[0], os.cpu_count() or 1)


def factor_for_load(load: float, processors: int) -> float:
    """The factor for a machine whose run queue held `load` processes during the last minute."""
    return round(1 + load / processors, 1)
