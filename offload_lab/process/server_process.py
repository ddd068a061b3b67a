"""A child process that listens: it refuses a port in use, and is ready once its probe succeeds."""

import socket
from abc import abstractmethod

from offload_lab.errors import LoopbackDownError, PortInUseError, ProcessDiedError

from .deadlines import LOOPBACK, Deadline
from .process import Process


def free_port() -> int:
    """A TCP port on 127.0.0.1 that the kernel had free a moment ago."""
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        port: int = probe.getsockname()[1]
        return port


def port_in_use(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as uWSGI and nginx bind
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return True
    return False


def loopback_is_up() -> bool:
    """Asks the kernel for a route; to connect a datagram socket sends nothing."""
    with socket.socket(type=socket.SOCK_DGRAM) as probe:
        return not probe.connect_ex((LOOPBACK, 9))


class ServerProcess(Process):
    """Listens on `port` of 127.0.0.1; on no TCP port where that is None."""

    port: int | None

    def start(self) -> None:
        """Raises: LoopbackDownError, PortInUseError before anything is started; StartError."""
        if self.port and not loopback_is_up():
            raise LoopbackDownError
        if self.port and port_in_use(self.port):
            raise PortInUseError(self.port)
        super().start()

    def wait_ready(self, deadline: Deadline) -> None:
        """Returns once `probe` succeeds.

        Raises: ProcessDiedError, NotReadyError; PortInUseError where another program took the port.
        """
        try:
            self.wait_until(self.probe, deadline)
        except ProcessDiedError:
            if self.port and port_in_use(self.port):
                raise PortInUseError(self.port) from None
            raise

    def probe(self) -> bool:
        """Whether it is ready; a subclass may raise where waiting is useless."""
        return self.is_ready()

    @abstractmethod
    def is_ready(self) -> bool: ...
