"""One crew's event loop: sockets, things to do at a time, and one question at a time from the runner.

A question is a line of JSON on standard input: ``{"do": "open", …}`` calls the method ``do_open``; what that returns is
the answer, a line of JSON on standard output. The end of standard input ends the crew, whoever closed it.
"""

import heapq
import itertools
import json
import os
import select
import socket
import time
from collections.abc import Callable
from typing import Any

LOOPBACK = "127.0.0.1"
STDIN = 0
IP_BIND_ADDRESS_NO_PORT = 24  # linux/in.h: the kernel picks the port when connecting, one that is free towards there
clock = time.monotonic


class Loop:
    """`handlers` are called with the events of their descriptor. Linux only, for epoll and for its loopback network,
    where every address in 127.0.0.0/8 is ours."""

    def __init__(self) -> None:
        self.epoll = select.epoll()
        self.handlers: dict[int, Callable[[int], None]] = {}
        self._later: list[tuple[float, int, Callable[[], None]]] = []
        self._order = itertools.count()
        self._words = b""
        self.watch(STDIN, select.EPOLLIN, self._asked)

    def watch(self, fd: int, events: int, handler: Callable[[int], None]) -> None:
        self.handlers[fd] = handler
        self.epoll.register(fd, events)

    def at(self, moment: float, act: Callable[[], None]) -> None:
        """Call `act` when the clock says `moment`."""
        heapq.heappush(self._later, (moment, next(self._order), act))

    def run(self) -> None:
        """Until standard input ends."""
        handlers, poll = self.handlers, self.epoll.poll
        while STDIN in handlers:
            wait_s = max(0.0, self._later[0][0] - clock()) if self._later else 1.0
            for fd, events in poll(wait_s):
                if handler := handlers.get(fd):  # one handler may have closed another's descriptor
                    handler(events)
            while self._later and self._later[0][0] <= clock():
                heapq.heappop(self._later)[2]()

    def _asked(self, _: int) -> None:
        words = os.read(STDIN, 65536)
        if not words:
            del self.handlers[STDIN]
        *lines, self._words = (self._words + words).split(b"\n")
        for line in lines:
            question: dict[str, Any] = json.loads(line)
            answer = getattr(self, f"do_{question.pop('do')}")(**question)
            os.write(1, json.dumps(answer).encode() + b"\n")

    def do_cpu(self) -> float:
        """Seconds of CPU that this crew has used so far."""
        return time.process_time()


def connecting(port: int, source: str = LOOPBACK, receive_buffer: int = 0) -> socket.socket:
    """A socket that is being connected. Each further `source` address has as many ports as the first one.

    Raises OSError where connecting cannot even begin.
    `receive_buffer`, in bytes, has to be set before connecting; 0 leaves it to the kernel.
    """
    connection = socket.socket()
    try:
        connection.setblocking(False)
        if receive_buffer:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        connection.setsockopt(socket.IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1)
        connection.bind((source, 0))
        connection.connect((LOOPBACK, port))
    except BlockingIOError:
        pass
    except OSError:
        connection.close()
        raise
    return connection
