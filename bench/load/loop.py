"""The event loop of a load process: sockets, timers, and one command at a time from the runner.

A command is a line of JSON on standard input: ``{"do": "open", …}`` calls the method ``do_open``; what that returns is
the reply, a line of JSON on standard output. The process ends with its standard input.
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
IP_BIND_ADDRESS_NO_PORT = 24  # linux/in.h: the kernel picks the port when connecting, one that is free for that address
clock = time.monotonic


class Loop:
    """Calls the handler of each descriptor with its epoll events. Linux only: epoll, and a loopback network on which
    every address in 127.0.0.0/8 can be bound."""

    def __init__(self) -> None:
        self.epoll = select.epoll()
        self.handlers: dict[int, Callable[[int], None]] = {}
        self._timers: list[tuple[float, int, Callable[[], None]]] = []
        self._order = itertools.count()
        self._input = b""
        self.watch(STDIN, select.EPOLLIN, self._read_commands)

    def watch(self, fd: int, events: int, handler: Callable[[int], None]) -> None:
        self.handlers[fd] = handler
        self.epoll.register(fd, events)

    def at(self, moment: float, act: Callable[[], None]) -> None:
        """Call `act` once `clock()` has reached `moment`."""
        heapq.heappush(self._timers, (moment, next(self._order), act))

    def run(self) -> None:
        """Until standard input ends."""
        handlers, poll = self.handlers, self.epoll.poll
        while STDIN in handlers:
            wait_s = max(0.0, self._timers[0][0] - clock()) if self._timers else 1.0
            for fd, events in poll(wait_s):
                if handler := handlers.get(fd):  # one handler may have closed another's descriptor
                    handler(events)
            while self._timers and self._timers[0][0] <= clock():
                heapq.heappop(self._timers)[2]()

    def _read_commands(self, _: int) -> None:
        chunk = os.read(STDIN, 65536)
        if not chunk:
            del self.handlers[STDIN]
        *lines, self._input = (self._input + chunk).split(b"\n")
        for line in lines:
            command: dict[str, Any] = json.loads(line)
            reply = getattr(self, f"do_{command.pop('do')}")(**command)
            os.write(1, json.dumps(reply).encode() + b"\n")

    def do_cpu(self) -> float:
        """Seconds of CPU that this process has used so far."""
        return time.process_time()


def connecting(port: int, source: str = LOOPBACK, receive_buffer: int = 0) -> socket.socket:
    """A non-blocking socket whose connection is under way.

    Each further `source` address has as many ports as the first one. `receive_buffer`, in bytes, has to be set before
    connecting; 0 leaves it to the kernel.
    Raises: OSError where connecting cannot even begin.
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
