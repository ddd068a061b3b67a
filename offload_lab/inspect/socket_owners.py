"""Who holds a connection: which process has its descriptor, and which of its threads is waiting on it.

The process is found with psutil, everywhere. The thread is found on Linux only: /proc tells each thread's system call
and its arguments, and which descriptors stand in an epoll set (proc(5)). A thread that waits for a set holds all the
descriptors in it; a thread that waits in poll(2) has the address of its list of descriptors as first argument.
"""

import os
import platform
import struct
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

from offload_lab.system import is_linux

# the calls in which a thread waits: poll and its like, epoll and its like, those whose first argument is the descriptor
SYSCALLS = {
    "x86_64": ({7, 271}, {232, 281, 441}, {0, 1, 19, 20, 40, 44, 45, 46, 47}),
    "aarch64": ({73}, {22, 441}, {63, 64, 65, 66, 71, 206, 207, 211, 212}),
}
POLLFD = struct.Struct("ihh")


@dataclass(frozen=True)
class SocketOwner:
    """`pid` has the connection open as descriptor `fd`. `tid` is the thread that waits on it, None where the system
    does not tell or where no thread waits just now; the main thread's id is the process's."""

    pid: int
    fd: int
    tid: int | None

    @property
    def is_main_thread(self) -> bool:
        return self.tid == self.pid


def find_socket_owners(server_port: int, client_port: int, pids: Iterable[int]) -> list[SocketOwner]:
    """Those of `pids` that have the server's end of the TCP connection from `client_port` open."""
    holders = []
    for pid in pids:
        with suppress(psutil.NoSuchProcess, psutil.AccessDenied):
            for connection in psutil.Process(pid).net_connections(kind="tcp"):
                ends = connection.laddr and connection.raddr and (connection.laddr.port, connection.raddr.port)
                if ends == (server_port, client_port):
                    holders.append(SocketOwner(pid, connection.fd, waiting_thread(pid, connection.fd)))
    return holders


def waiting_thread(pid: int, fd: int) -> int | None:
    """The thread of `pid` that waits on its descriptor `fd`, or None."""
    if not is_linux():
        return None
    sets = epoll_sets(pid, fd)
    with suppress(OSError):
        for tid in sorted(int(name) for name in os.listdir(f"/proc/{pid}/task")):
            if waits_on(pid, tid, fd, sets):
                return tid
    return None


def epoll_sets(pid: int, fd: int) -> set[int]:
    """The epoll descriptors of `pid` that watch `fd`."""
    sets = set()
    with suppress(OSError):
        for info in Path(f"/proc/{pid}/fdinfo").iterdir():
            with suppress(OSError):
                watched = [line.split()[1] for line in info.read_text().splitlines() if line.startswith("tfd:")]
                if str(fd) in watched:
                    sets.add(int(info.name))
    return sets


def waits_on(pid: int, tid: int, fd: int, sets: set[int]) -> bool:
    call, *arguments = read_syscall(pid, tid)
    poll, epoll, direct = SYSCALLS.get(platform.machine(), (set(), set(), set()))
    if call in epoll:
        return arguments[0] in sets
    if call in poll:
        return fd in polled(pid, arguments[0], arguments[1])
    return call in direct and arguments[0] == fd


def read_syscall(pid: int, tid: int) -> list[int]:
    """The number of the system call in which the thread waits, then its arguments; [-1] while it runs or on error."""
    if not is_linux():
        return [-1]
    try:
        words = Path(f"/proc/{pid}/task/{tid}/syscall").read_text().split()
    except OSError:
        return [-1]
    return [-1] if words[:1] in ([], ["running"]) else [int(word, 0) for word in words]


def polled(pid: int, address: int, count: int) -> set[int]:
    """The descriptors in the list that a thread of `pid` passed to poll(2)."""
    with suppress(OSError), open(f"/proc/{pid}/mem", "rb", buffering=0) as memory:
        memory.seek(address)
        listed = memory.read(POLLFD.size * min(count, 1024))
        return {fd for fd, _, _ in POLLFD.iter_unpack(listed[: len(listed) // POLLFD.size * POLLFD.size])}
    return set()
