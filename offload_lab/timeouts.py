"""One factor for every timeout: ``LAB_TIMEOUT_FACTOR``, 1 unless set, read whenever a wait begins.

A timeout here ends a wait for something that will not come any more. It is never what is measured, so a slow or busy
machine may have as much more of it as it needs.
"""

import os

VARIABLE = "LAB_TIMEOUT_FACTOR"


def scaled(seconds: float) -> float:
    """`seconds` as this machine needs them. Raises ValueError for a factor that is no number."""
    return seconds * float(os.environ.get(VARIABLE, 1))


def factor_for_load(load: float, processors: int) -> float:
    """What a machine needs whose run queue held `load` processes during the last minute."""
    return round(1 + load / processors, 1)
