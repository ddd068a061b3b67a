"""What all processes of a contestant have used: CPU and memory. From Linux's clocks and /proc."""

import os
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import psutil

CPUCLOCK_SCHED = 2  # include/linux/posix-timers_types.h
TICK_S = 1 / os.sysconf("SC_CLK_TCK")


def total(of: Callable[[int], float], leader: int) -> float:
    """The sum of `of` over the process `leader` and all that descend from it; one that has ended counts as nothing."""
    with suppress(psutil.NoSuchProcess):
        return sum(map(of, [leader, *(child.pid for child in psutil.Process(leader).children(recursive=True))]))
    return 0.0


def cpu_s(pid: int) -> float:
    """By the kernel's own clock of that process: /proc/PID/stat counts in hundredths (see clock_getcpuclockid(3))."""
    with suppress(OSError):
        return time.clock_gettime(~pid << 3 | CPUCLOCK_SCHED)
    return 0.0


def threads_cpu_s(pid: int) -> float:
    """Of that the part of all threads but the process's first, to a hundredth of a second."""
    with suppress(OSError):
        return sum(thread_cpu_s(task) for task in Path(f"/proc/{pid}/task").iterdir() if task.name != str(pid))
    return 0.0


def thread_cpu_s(task: Path) -> float:
    with suppress(OSError):
        fields = (task / "stat").read_text().rpartition(") ")[2].split()
        return (int(fields[11]) + int(fields[12])) * TICK_S  # utime, stime
    return 0.0


def own_kib(pid: int) -> float:
    """PSS without the pages of files, which are shared with whatever else runs the same program. In KiB."""
    with suppress(OSError):
        rows = (line.split() for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines())
        return sum(float(row[1]) for row in rows if row[0] in ("Pss_Anon:", "Pss_Shmem:"))
    return 0.0
