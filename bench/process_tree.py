"""CPU, memory and threads of a process and its descendants, from Linux's clocks and /proc."""

import os
import re
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import psutil

CPUCLOCK_SCHED = 2  # include/linux/posix-timers_types.h


def total(of: Callable[[int], float], leader: int) -> float:
    """The sum of `of` over the process `leader` and its descendants; an ended one counts as 0."""
    with suppress(psutil.NoSuchProcess):
        return sum(map(of, [leader, *(child.pid for child in psutil.Process(leader).children(recursive=True))]))
    return 0.0


def cpu_s(pid: int) -> float:
    """By the kernel's own clock of that process: /proc/PID/stat counts in hundredths (see clock_getcpuclockid(3))."""
    with suppress(OSError):
        return time.clock_gettime(~pid << 3 | CPUCLOCK_SCHED)
    return 0.0


def own_kib(pid: int) -> float:
    """PSS in KiB without the pages of files, which other processes of the same program share."""
    with suppress(OSError):
        rows = (line.split() for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines())
        return sum(float(row[1]) for row in rows if row[0] in ("Pss_Anon:", "Pss_Shmem:"))
    return 0.0


def threads(pid: int) -> float:
    with suppress(OSError):
        return float(len(os.listdir(f"/proc/{pid}/task")))
    return 0.0


def slab_kib() -> float:
    """KiB of the kernel's own objects on the whole machine, sockets and open files above all (/proc/meminfo)."""
    [kib] = re.findall(r"^Slab:\s+(\d+) kB$", Path("/proc/meminfo").read_text(), re.MULTILINE)
    return float(kib)
