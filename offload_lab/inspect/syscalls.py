"""What the threads of a process wait for, by descriptor (Linux: proc(5); elsewhere nothing is known)."""

import os
import platform
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from offload_lab.system import is_linux

from .socket_owners import POLLFD, SYSCALLS, read_syscall

POLLOUT = 4
WRITES = {
    "x86_64": {1, 20, 40, 44, 46},
    "aarch64": {64, 66, 71, 206, 211},
}  # of the calls on one descriptor, those that send
LOOKS, PAUSE_S = 10, 0.01  # a thread that runs just now shows nothing; a moment later it waits again
RUNS = -1  # what read_syscall says then


@dataclass(frozen=True)
class Blocked:
    """A thread in a system call. `fds` is empty where the call is about no descriptor, as when it sleeps."""

    verb: Literal["read", "write"] = "read"
    fds: frozenset[int] = frozenset()


def thread_ids(pid: int) -> list[int]:
    """The main thread first, then the others as they were started; none where the system does not list them."""
    if not is_linux():
        return []
    with suppress(OSError):
        return sorted(map(int, os.listdir(f"/proc/{pid}/task")), key=lambda tid: (tid != pid, tid))
    return []


def blocked_threads(pid: int) -> dict[int, Blocked]:
    """By thread; those that ran whenever one looked are left out."""
    found: dict[int, Blocked] = {}
    for _ in range(LOOKS):
        missing = [tid for tid in thread_ids(pid) if tid not in found]
        if not missing:
            break
        for tid in missing:
            blocked = blocked_in(pid, tid)
            if blocked:
                found[tid] = blocked
        time.sleep(PAUSE_S)
    return found


def blocked_in(pid: int, tid: int) -> Blocked | None:
    call, *arguments = read_syscall(pid, tid)
    machine = platform.machine()
    poll, epoll, direct = SYSCALLS.get(machine, (set(), set(), set()))
    if call == RUNS:
        return None
    if call in epoll:
        return Blocked("read", watched(pid, arguments[0]))
    if call in poll:
        asked = poll_list(pid, arguments[0], arguments[1])
        return Blocked("write" if any(events & POLLOUT for events in asked.values()) else "read", frozenset(asked))
    if call in direct:
        return Blocked("write" if call in WRITES[machine] else "read", frozenset(arguments[:1]))
    return Blocked()


def watched(pid: int, epoll: int) -> frozenset[int]:
    """The descriptors in an epoll set."""
    with suppress(OSError):
        lines = Path(f"/proc/{pid}/fdinfo/{epoll}").read_text().splitlines()
        return frozenset(int(line.split()[1]) for line in lines if line.startswith("tfd:"))
    return frozenset()


def poll_list(pid: int, address: int, count: int) -> dict[int, int]:
    """The list that was passed to poll(2): descriptors, and the events asked for."""
    with suppress(OSError), open(f"/proc/{pid}/mem", "rb", buffering=0) as memory:
        memory.seek(address)
        listed = memory.read(POLLFD.size * min(count, 1024))
        whole = listed[: len(listed) // POLLFD.size * POLLFD.size]
        return {fd: events for fd, events, _ in POLLFD.iter_unpack(whole)}
    return {}
