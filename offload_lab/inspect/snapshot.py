"""What can be seen of a running uWSGI from outside, at one moment."""

from dataclasses import dataclass, field
from typing import Literal

End = Literal["visitor", "backend", "nobody yet"]


@dataclass(frozen=True)
class Request:
    """One that is under way, as the stats server tells it; its query is left out, it may hold secrets."""

    method: str
    path: str
    since_s: int


@dataclass(frozen=True)
class Wait:
    """What a thread waits for: words from or room for the other end of a descriptor. `end` is who is there."""

    verb: Literal["read", "write"]
    end: End


@dataclass(frozen=True)
class Worker:
    """`wait`: of its main thread, None while that runs or sleeps; `cores` is how many requests it can have at once.

    `threads_unknown`: which of its threads are offload threads cannot be told, and `offload_tids` is empty then;
    `alike_tids` are those that wait as offload threads do. `number` is uWSGI's for it, `offloaded` the requests that it
    offloaded since it was spawned. `unseen`: why nothing but its stats is known, empty where more is.
    """

    pid: int
    busy: bool
    cores: int = 1
    requests: tuple[Request, ...] = ()
    offload_tids: tuple[int, ...] = ()
    wait: Wait | None = None
    threads_unknown: bool = False
    alike_tids: tuple[int, ...] = ()
    number: int = 0
    offloaded: int = 0
    unseen: str = ""

    @property
    def may_offload(self) -> bool:
        """False only where it is known to have no offload thread."""
        return bool(self.offload_tids) or self.threads_unknown

    def is_its_own(self, tid: int | None) -> bool:
        """False for its offload threads; where these are not known, for each that is not its main thread."""
        return tid == self.pid if self.threads_unknown else tid not in self.offload_tids


@dataclass(frozen=True)
class Connection:
    """A client's, at the front. `pid` is None where no process has accepted it, or one that is not known has; `tid` is
    the thread that watches it, None where that is not known. `left`: the client has closed its side."""

    visitor: str
    pid: int | None = None
    tid: int | None = None
    left: bool = False
    accepted: bool = False


@dataclass(frozen=True)
class Listener:
    """A socket that it listens on. `waiting`: so many connections wait there; None where uWSGI does not count them."""

    name: str
    protocol: str
    waiting: int | None
    room: int


@dataclass(frozen=True)
class Server:
    """One uWSGI. `hands_over`: a route asks for it; `in_greenlets`: one thread serves many at once; None where its
    configuration is not known. `queue_room`: so many may wait to be accepted, 0 where that is not known."""

    name: str
    address: str
    workers: tuple[Worker, ...]
    hands_over: bool | None = False
    in_greenlets: bool | None = False
    queue_room: int = 0
    listeners: tuple[Listener, ...] = ()


@dataclass(frozen=True)
class Snapshot:
    """The front is the last of `servers`, as it is the last to start; without `step` it is any uWSGI, alone."""

    step: str
    variant: str
    servers: tuple[Server, ...]
    connections: tuple[Connection, ...] = field(default=())

    @property
    def front(self) -> Server:
        return self.servers[-1]
