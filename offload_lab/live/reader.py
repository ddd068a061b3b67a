"""/proc, read several times a second: what holds between two looks is kept, and one read serves all sides."""

import os
import platform
import time
from collections.abc import Collection, Sequence
from contextlib import suppress
from pathlib import Path

from offload_lab.inspect.configuration import configuration
from offload_lab.inspect.kernel_sockets import Socket, lines_of, open_sockets, parse_unix, sockets, tcp_sockets
from offload_lab.inspect.reader import Reader
from offload_lab.inspect.threads import EPOLL, Blocked, blocked_in, epoll_set, read_syscall, thread_ids
from offload_lab.system import is_linux
from offload_lab.uwsgi.config.model import Config

RUNS = -1  # in place of a system call
FRESH_S = 0.1  # the kernel's lists are read once for all that look within it


class KernelLists:
    """The kernel's sockets, kept for FRESH_S."""

    def __init__(self) -> None:
        self._read_at, self._tcp, self._unix = 0.0, list[Socket](), list[tuple[str, str, str]]()

    def _refresh(self) -> None:
        if time.monotonic() - self._read_at < FRESH_S:
            return
        self._tcp = tcp_sockets(os.getpid())
        rows = ((line, line.split(None, 7)) for line in lines_of(Path("/proc/self/net/unix")))
        self._unix = [(words[6], words[7] if len(words) > 7 else "", line) for line, words in rows]
        self._read_at = time.monotonic()

    def tcp(self, ports: set[int], inodes: set[int]) -> list[Socket]:
        """Those at one of our `ports`, and those of `inodes`."""
        self._refresh()
        ends = tuple(f":{port}" for port in ports)
        return [socket for socket in self._tcp if socket.local.endswith(ends) or socket.inode in inodes]

    def unix(self, paths: Collection[str], inodes: set[int]) -> list[Socket]:
        """Those bound to one of `paths`, and those of `inodes`."""
        self._refresh()
        known = {str(inode) for inode in inodes}
        rows = (parse_unix(line) for inode, path, line in self._unix if path in paths or inode in known)
        return [socket for socket in rows if socket]


class QuickReader(Reader):
    """Looks once at each thread. A thread that runs just now waits again in a moment, where it waited before."""

    def __init__(self, lists: KernelLists, ports: set[int]) -> None:
        self.ports = ports
        self._lists = lists
        self._configurations: dict[tuple[int, float], Config | None] = {}
        self._opened: dict[int, dict[int, int] | None] = {}
        self._epoll_sets: dict[tuple[int, int], int] = {}

    def configuration(self, master: int, spawned: float) -> Config | None:
        key = (master, spawned)
        if key not in self._configurations:
            self._configurations = {key: configuration(master, spawned)}
        return self._configurations[key]

    def sockets(self, pids: Sequence[int]) -> list[Socket]:
        if not is_linux():
            return sockets(pids)
        self._opened = {pid: open_sockets(pid) for pid in pids}
        inodes = {inode for found in self._opened.values() for inode in (found or {}).values()}
        return [*self._lists.tcp(self.ports, inodes), *self._lists.unix((), inodes)]

    def open_sockets(self, pid: int) -> dict[int, int] | None:
        """Those that `sockets` has just read."""
        return self._opened.pop(pid) if pid in self._opened else open_sockets(pid)

    def threads(self, pid: int) -> dict[int, Blocked]:
        return {tid: found for tid in thread_ids(pid) if (found := self._thread(pid, tid))}

    def _thread(self, pid: int, tid: int) -> Blocked | None:
        call, *arguments = read_syscall(pid, tid) or [RUNS]
        if call in EPOLL.get(platform.machine(), ()):
            self._epoll_sets[pid, tid] = arguments[0]
        elif call == RUNS and tid != pid and (pid, tid) in self._epoll_sets:
            return Blocked("read", epoll_set(pid, self._epoll_sets[pid, tid]))
        return blocked_in(pid, tid)


def bytes_written(pid: int) -> dict[int, int]:
    """By thread, what it wrote so far, sendfile(2) included; empty where that is not told."""
    found = {}
    for tid in thread_ids(pid):
        with suppress(OSError, ValueError, IndexError):
            lines = Path(f"/proc/{pid}/task/{tid}/io").read_text().splitlines()
            found[tid] = int(lines[1].split()[1])  # wchar
    return found


def children(pid: int) -> list[int]:
    """Its child processes; none where that is not told."""
    if not is_linux():
        return []
    with suppress(OSError):
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    return []
