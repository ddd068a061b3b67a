"""A crew of slow readers: each asks for a file and takes it at the pace of a bad connection."""

import os
import select
from collections import Counter

from .loop import Loop, clock, connecting

READ_BYTES = 64 * 1024  # also the receive buffer: small and fixed, else the kernel takes megabytes on a reader's behalf


class Crew(Loop):
    def __init__(self) -> None:
        super().__init__()
        self.received = 0
        self.states: Counter[str] = Counter()

    def do_open(self, port: int, request: str, count: int, rate_mib_s: float) -> None:
        """`count` readers at once, each of `rate_mib_s`."""
        for _ in range(count):
            try:
                Reader(self, port, request.encode(), READ_BYTES / (rate_mib_s * 2**20))
            except OSError:
                self.states["refused"] += 1

    def do_status(self) -> dict[str, object]:
        """Bytes received by all, heads included, and how many readers are in which state."""
        return {"received": self.received, "states": self.states}


class Reader:
    """`state` is "waiting" until the answer begins, then "reading", and "refused" or "ended" if it stops too early."""

    def __init__(self, crew: Crew, port: int, request: bytes, pause_s: float) -> None:
        connection = connecting(port, receive_buffer=READ_BYTES)
        self.crew, self.request, self.pause_s, self.state = crew, request, pause_s, "waiting"
        crew.states[self.state] += 1
        self.fd = connection.detach()
        crew.watch(self.fd, select.EPOLLOUT, self.ask)

    def ask(self, _: int) -> None:
        try:
            os.write(self.fd, self.request)
        except OSError:
            self.leave("refused")
            return
        self.crew.handlers[self.fd] = self.read
        self.crew.epoll.modify(self.fd, select.EPOLLIN)

    def read(self, _: int) -> None:
        try:
            chunk = os.read(self.fd, READ_BYTES)
        except OSError:
            chunk = b""
        if not chunk or (self.state == "waiting" and chunk[9:12] != b"200"):
            self.leave("ended" if self.state == "reading" else "refused")
            return
        self.crew.received += len(chunk)
        self.now("reading")
        self.crew.epoll.modify(self.fd, 0)
        self.crew.at(clock() + self.pause_s, self.go_on)

    def go_on(self) -> None:
        self.crew.epoll.modify(self.fd, select.EPOLLIN)

    def now(self, state: str) -> None:
        self.crew.states[self.state] -= 1
        self.crew.states[state] += 1
        self.state = state

    def leave(self, state: str) -> None:
        self.now(state)
        del self.crew.handlers[self.fd]
        os.close(self.fd)


if __name__ == "__main__":
    Crew().run()
