"""Whether what only Linux has may be used: /proc, prctl(2), epoll sets.

``LAB_PRETEND_SYSTEM=other`` denies it, so that the tests can show what works on other systems.
"""

import os
import sys

NOT_TOLD = "not told here, only Linux's /proc says it"


def is_linux() -> bool:
    return sys.platform == "linux" and os.environ.get("LAB_PRETEND_SYSTEM", "linux") == "linux"


def no_thread_waits() -> str:
    """What to say of a socket where no thread is seen to wait for it."""
    return "no thread just now" if is_linux() else NOT_TOLD
