"""One factor for every timeout: ``LAB_TIMEOUT_FACTOR``, 1 unless set, read whenever a wait begins.

A timeout ends a wait that has become useless. It is never what is measured, so a slow or busy machine may have more.
"""

import math
import os

from offload_lab.errors import LabError

VARIABLE = "LAB_TIMEOUT_FACTOR"


def scaled(seconds: float) -> float:
    """`seconds` times the factor.

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
    """Set the factor from the machine's load, unless it is set."""
    os.environ.setdefault(VARIABLE, str(load_factor()))


def load_factor() -> float:
    """The factor for this machine's present load."""
    return factor_for_load(os.getloadavg()[0], os.cpu_count() or 1)


def factor_for_load(load: float, processors: int) -> float:
    """The factor for a machine whose run queue held `load` processes during the last minute."""
    return round(1 + load / processors, 1)
