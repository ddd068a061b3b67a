"""Wait for a condition by polling, with a deadline."""

import time
from collections.abc import Callable

from .deadlines import Deadline


def wait_for(condition: Callable[[], bool], timeout_s: float, what: str) -> None:
    """Poll until `condition` holds.

    Raises: TimeoutError naming `what` after `timeout_s`, scaled.
    """
    deadline = Deadline(timeout_s)
    while not condition():
        if not deadline.left():
            raise TimeoutError(f"{what}: not seen within {deadline.seconds:g} s")
        time.sleep(0.02)
