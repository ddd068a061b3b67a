"""One front and its backends, looked at often."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from offload_lab.inspect import Snapshot
from offload_lab.inspect.kernel_sockets import Socket, is_at, open_sockets
from offload_lab.inspect.observe import has_ended, look_at
from offload_lab.system import is_linux

from .reader import KernelLists, QuickReader, bytes_written, children

Stats = Callable[[], dict[str, Any]]


@dataclass(frozen=True)
class Backend:
    """A server behind the front. `under_way`: connections that it has accepted, of at most `cores`; `pid` is 0 where it
    does not run."""

    name: str
    pid: int
    under_way: int = 0
    cores: int = 0


@dataclass(frozen=True)
class Look:
    """One moment. `written`: bytes by thread since its start; `passed`: the backend's name by the address of a client
    whose socket the front has passed to it."""

    snapshot: Snapshot
    written: dict[int, int] = field(default_factory=dict)
    backends: tuple[Backend, ...] = ()
    passed: dict[str, str] = field(default_factory=dict)


@dataclass
class BackendPlace:
    """What is known of a backend before it is looked at: its stats are large, so they are read once for each worker, or
    at each look where /proc does not show its processes. `requests`: under way when they were read."""

    name: str
    stats: Stats
    master: Callable[[], int]  # its process id, 0 while it does not run
    sockets: tuple[str, ...] = ()
    cores: int = 0
    requests: int = 0
    workers: list[int] = field(default_factory=list)

    def refresh(self) -> bool:
        """Whether it runs."""
        master = self.master()
        alive = children(master) if master else []
        if not alive or not set(self.workers) <= set(alive) or not self.workers:
            self.workers = []
            with suppress(OSError):
                stats = self.stats()
                self.workers = [row["pid"] for row in stats["workers"] if row["pid"]]
                cores = [core for row in stats["workers"] for core in row["cores"]]
                self.cores, self.requests = len(cores), sum(core["in_request"] for core in cores)
                self.sockets = tuple(row["name"] for row in stats["sockets"])
        return bool(self.workers)


class Watcher:
    """Looks at a front whose stats are what `stats` gives. `ours`: it was started on this machine, so a worker in its
    stats that is no process here has ended.

    Raises: OSError or LabError where they cannot be read.
    """

    def __init__(
        self, name: str, stats: Stats, lists: KernelLists, backends: Sequence[BackendPlace] = (), ours: bool = False
    ) -> None:
        self._name, self._stats, self._lists, self._places, self._ours = name, stats, lists, list(backends), ours
        self._reader = QuickReader(lists, set())
        self._last: dict[str, Any] | None = None

    def look(self) -> Look:
        self._last = self._stats()
        return self._look_at(self._last)

    def look_without_front(self) -> Look | None:
        """The backends, and the connections at the front's port; None before the first look."""
        return self._look_at({**self._last, "workers": []}) if self._last else None

    def _look_at(self, stats: dict[str, Any]) -> Look:
        if self._ours:
            stats = {**stats, "workers": [row for row in stats["workers"] if not has_ended(row["pid"])]}
        ports = (row["name"].rpartition(":")[2] for row in stats["sockets"])
        self._reader.ports = {int(port) for port in ports if port.isdigit()}
        server, connections = look_at(stats, self._name, reader=self._reader)
        snapshot = Snapshot("", "", (server,), tuple(connections))
        written = {tid: count for worker in server.workers for tid, count in bytes_written(worker.pid).items()}
        running = [(place, place.refresh()) for place in self._places]
        paths = {name for place, _ in running for name in place.sockets}
        unix = self._lists.unix(paths, set()) if paths and is_linux() else []
        orphans = any(connection.accepted and connection.pid is None for connection in connections)
        passed = self._passed([place for place, runs in running if runs]) if orphans and is_linux() else {}
        backends = tuple(
            Backend(
                place.name,
                place.workers[0] if runs else 0,
                under_way(place, unix, passed),
                place.cores,
            )
            for place, runs in running
        )
        return Look(snapshot, written, backends, passed)

    def _passed(self, places: Sequence[BackendPlace]) -> dict[str, str]:
        """Connections at the front's port that a backend's worker has open."""
        owners = {
            inode: place.name
            for place in places
            for pid in place.workers
            for inode in (open_sockets(pid) or {}).values()
        }
        found = self._lists.tcp(self._reader.ports, set())
        return {socket.remote: owners[socket.inode] for socket in found if socket.inode in owners}


def under_way(place: BackendPlace, unix: Sequence[Socket], passed: Mapping[str, str]) -> int:
    """How many connections a backend has; its requests where the system does not list connections."""
    if not is_linux():
        return place.requests
    from_front = sum(is_from_front(socket, place) for socket in unix)
    return from_front + sum(name == place.name for name in passed.values())


def is_from_front(socket: Socket, place: BackendPlace) -> bool:
    return socket.state == "open" and socket.accepted and any(is_at(socket, name) for name in place.sockets)
