"""Which process has a connection open, and which of its threads waits on it."""

from collections.abc import Iterable
from dataclasses import dataclass

from .kernel_sockets import sockets_of
from .threads import waiting_thread


@dataclass(frozen=True)
class SocketOwner:
    """`pid` has the connection open as descriptor `fd`. `tid` is the thread that waits on it, None where the system
    does not show it or no thread waits just now; the main thread's id is the process's."""

    pid: int
    fd: int
    tid: int | None

    @property
    def is_main_thread(self) -> bool:
        return self.tid == self.pid


def find_socket_owners(server_port: int, client_port: int, pids: Iterable[int]) -> list[SocketOwner]:
    """Those of `pids` that have the server's end of the TCP connection from `client_port` open."""
    return [
        SocketOwner(pid, fd, waiting_thread(pid, fd))
        for pid in pids
        for fd, socket in sockets_of(pid).items()
        if socket.kind == "tcp" and socket.ports == (server_port, client_port)
    ]
