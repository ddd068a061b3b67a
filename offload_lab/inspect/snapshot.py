"""What a running uWSGI shows to the outside at one moment."""

from dataclasses import dataclass, field
from typing import Literal

End = Literal["client", "backend", "none yet"]


ENDED = "it ended while it was looked at"


@dataclass(frozen=True)
class Request:
    """A request under way, without its query, which may hold secrets. `since_s`: seconds so far."""

    method: str
    path: str
    since_s: int


@dataclass(frozen=True)
class Wait:
    """A thread's wait for bytes from, or room in the buffer to, the other `end` of a connection."""

    verb: Literal["read", "write"]
    end: End


@dataclass(frozen=True)
class Worker:
    """One worker process.

    `cores`: how many requests it can serve at once. `wait` is its main thread's, None while that runs or sleeps.
    `number` is uWSGI's; `offloaded` counts the requests offloaded since it was spawned. `threads_unknown`: which of its
    threads are offload threads is not known; `offload_tids` is empty then, and `like_offload_tids` are those that wait
    as offload threads do. `unseen`: why only its stats are known; empty where more is.
    """

    pid: int
    busy: bool
    cores: int = 1
    requests: tuple[Request, ...] = ()
    offload_tids: tuple[int, ...] = ()
    wait: Wait | None = None
    threads_unknown: bool = False
    like_offload_tids: tuple[int, ...] = ()
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
    """A client's connection to the front.

    `pid` is the process that has it, None where it is not accepted yet or that process is not known. `tid` is the
    thread that waits on it, None where that is not known. `client_closed`: the client has closed its side.
    """

    client: str
    pid: int | None = None
    tid: int | None = None
    client_closed: bool = False
    accepted: bool = False


@dataclass(frozen=True)
class Listener:
    """A listening socket. `waiting`: connections in its queue, None where uWSGI does not count; `room`: at most."""

    name: str
    protocol: str
    waiting: int | None
    room: int


@dataclass(frozen=True)
class Server:
    """One uWSGI.

    `routes_offload`: a route offloads connections or files. `in_greenlets`: one thread serves many requests at once.
    Both are None where the configuration is not known. `queue_room`: how many connections may wait, 0 where not known.
    """

    name: str
    address: str
    workers: tuple[Worker, ...]
    routes_offload: bool | None = False
    in_greenlets: bool | None = False
    queue_room: int = 0
    listeners: tuple[Listener, ...] = ()


@dataclass(frozen=True)
class Snapshot:
    """The front is the last of `servers`. Without a `step` it is any uWSGI, alone."""

    step: str
    variant: str
    servers: tuple[Server, ...]
    connections: tuple[Connection, ...] = field(default=())

    @property
    def front(self) -> Server:
        return self.servers[-1]
