"""What a look reads of the system beside the stats server: one object, so that who looks often can keep what holds."""

from collections.abc import Sequence

from offload_lab.uwsgi.config.model import Config

from .configuration import configuration
from .kernel_sockets import Socket, open_sockets, sockets
from .threads import Blocked, blocked_threads


class Reader:
    """Reads everything anew."""

    def configuration(self, master: int, spawned: float) -> Config | None:
        return configuration(master, spawned)

    def sockets(self, pids: Sequence[int]) -> list[Socket]:
        return sockets(pids)

    def open_sockets(self, pid: int) -> dict[int, int] | None:
        return open_sockets(pid)

    def threads(self, pid: int) -> dict[int, Blocked]:
        return blocked_threads(pid)
