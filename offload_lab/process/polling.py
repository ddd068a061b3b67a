"""Wait for a condition by asking again and again, with a deadline."""

import time
from collections.abc import Callable

from offload_lab.timeouts import scaled


def wait_for(condition: Callable[[], bool], timeout_s: float, what: str) -> None:
    """Poll until `condition` holds.

    Raises: TimeoutError naming `what` after `timeout_s`, scaled.
    """
    deadline = time.monotonic() + scaled(timeout_s)
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what}: not seen within {scaled(timeout_s):g} s")
        time.sleep(0.02)
