"""Whether the modules that read what only Linux tells may do so: /proc, prctl(2), epoll sets.

``LAB_PRETEND_SYSTEM=other`` makes them do without, so that the tests can show what is left elsewhere.
"""

import os
import sys

NOT_TOLD = "not told here, only Linux's /proc says it"


def is_linux() -> bool:
    return sys.platform == "linux" and os.environ.get("LAB_PRETEND_SYSTEM", "linux") == "linux"
