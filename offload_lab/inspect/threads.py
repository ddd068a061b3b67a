"""What the threads of a process wait for, by descriptor. Linux only; elsewhere nothing is known.

/proc shows each thread's system call with its arguments, and the descriptors in an epoll set (proc(5)). A thread that
waits for a set waits on every descriptor in it; a thread in poll(2) passes the address of its list as first argument.
"""

import os
import platform
import struct
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from offload_lab.system import is_linux

# numbers of the calls in which a thread waits: poll and its like, epoll_wait and its like, and those whose first
# argument is the descriptor; of these last, the ones that send
POLL = {"x86_64": {7, 271}, "aarch64": {73}}
EPOLL = {"x86_64": {232, 281, 441}, "aarch64": {22, 441}}
ONE_DESCRIPTOR = {"x86_64": {0, 1, 19, 20, 40, 44, 45, 46, 47}, "aarch64": {63, 64, 65, 66, 71, 206, 207, 211, 212}}
SENDS = {"x86_64": {1, 20, 40, 44, 46}, "aarch64": {64, 66, 71, 206, 211}}
POLLFD = struct.Struct("ihh")
POLLOUT = 4
MOST_POLLED = 1024  # entries that are read of a poll list
ATTEMPTS, PAUSE_S = 10, 0.01  # a running thread shows no system call; a moment later it waits again


@dataclass(frozen=True)
class Blocked:
    """A thread in a system call. `fds` is empty where the call is about no descriptor, as when the thread sleeps."""

    verb: Literal["read", "write"] = "read"
    fds: frozenset[int] = frozenset()


def waiting_thread(pid: int, fd: int) -> int | None:
    """The thread of `pid` that waits on its descriptor `fd`; None where none does just now."""
    return next((tid for tid in thread_ids(pid) if (blocked := blocked_in(pid, tid)) and fd in blocked.fds), None)


def blocked_threads(pid: int) -> dict[int, Blocked]:
    """By thread id. A thread that ran at each of ATTEMPTS samples is left out."""
    found: dict[int, Blocked] = {}
    for _ in range(ATTEMPTS):
        missing = [tid for tid in thread_ids(pid) if tid not in found]
        if not missing:
            break
        found |= {tid: blocked for tid in missing if (blocked := blocked_in(pid, tid))}
        time.sleep(PAUSE_S)
    return found


def thread_ids(pid: int) -> list[int]:
    """The main thread first, then the others in the order in which they started."""
    if not is_linux():
        return []
    with suppress(OSError):
        return sorted(map(int, os.listdir(f"/proc/{pid}/task")), key=lambda tid: (tid != pid, tid))
    return []


def blocked_in(pid: int, tid: int) -> Blocked | None:
    """None while the thread runs, or where it may not be read."""
    if not (numbers := read_syscall(pid, tid)):
        return None
    call, *arguments = numbers
    machine = platform.machine()
    if call in EPOLL.get(machine, ()):
        return Blocked("read", epoll_set(pid, arguments[0]))
    if call in POLL.get(machine, ()):
        events = poll_list(pid, arguments[0], arguments[1])
        return Blocked("write" if any(wanted & POLLOUT for wanted in events.values()) else "read", frozenset(events))
    if call in ONE_DESCRIPTOR.get(machine, ()):
        return Blocked("write" if call in SENDS[machine] else "read", frozenset(arguments[:1]))
    return Blocked()


def read_syscall(pid: int, tid: int) -> list[int]:
    """The number of the system call in which the thread waits, then its arguments; empty while it runs or is gone."""
    fields = read(Path(f"/proc/{pid}/task/{tid}/syscall")).split() if is_linux() else []
    return [] if fields == ["running"] else [int(field, 0) for field in fields]


def epoll_set(pid: int, epoll: int) -> frozenset[int]:
    """The descriptors in the epoll set that `pid` has open as `epoll`."""
    lines = read(Path(f"/proc/{pid}/fdinfo/{epoll}")).splitlines()
    return frozenset(int(line.split()[1]) for line in lines if line.startswith("tfd:"))


def poll_list(pid: int, address: int, count: int) -> dict[int, int]:
    """The list that a thread passed to poll(2): descriptors, and the events it waits for."""
    with suppress(OSError), open(f"/proc/{pid}/mem", "rb", buffering=0) as memory:
        memory.seek(address)
        listed = memory.read(POLLFD.size * min(count, MOST_POLLED))
        whole = listed[: len(listed) // POLLFD.size * POLLFD.size]
        return {fd: events for fd, events, _ in POLLFD.iter_unpack(whole)}
    return {}


def read(path: Path) -> str:
    """Empty where `path` is gone or may not be read."""
    with suppress(OSError):
        return path.read_text()
    return ""
