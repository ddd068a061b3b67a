"""One factor for every timeout: ``LAB_TIMEOUT_FACTOR``, 1 unless set, read whenever a wait begins.

A timeout here ends a wait for something that will not come any more. It is never what is measured, so a slow or busy
machine may have as much more of it as it needs.
"""

import math
import os

from offload_lab.errors import LabError

VARIABLE = "LAB_TIMEOUT_FACTOR"


def scaled(seconds: float) -> float:
    """`seconds` as this machine needs them.

    Raises: LabError for a factor that is no number above 0.
    """
    factor = os.environ.get(VARIABLE) or "1"
    try:
        number = float(factor)
    except ValueError:
        number = 0
    if not 0 < number < math.inf:
        raise LabError(f"{VARIABLE} is {factor!r}; give a number above 0, such as 3, or unset it")
    return seconds * number


def adapt_to_load() -> None:
    """Set the factor by what the machine does now, unless it is set."""
    os.environ.setdefault(VARIABLE, str(load_factor()))


def load_factor() -> float:
    """What this machine needs now."""
    return factor_for_load(os.getloadavg()[0], os.cpu_count() or 1)


def factor_for_load(load: float, processors: int) -> float:
    """What a machine needs whose run queue held `load` processes during the last minute."""
    return round(1 + load / processors, 1)
