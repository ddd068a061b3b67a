"""A load process of slow readers: each requests a file and reads it at a fixed rate."""

import os
import select
from collections import Counter

from .loop import Loop, clock, connecting

READ_BYTES = 64 * 1024  # also the receive buffer: small and fixed, else the kernel buffers megabytes for the reader


class Readers(Loop):
    def __init__(self) -> None:
        super().__init__()
        self.received = 0
        self.states: Counter[str] = Counter()

    def do_open(self, port: int, request: str, count: int, rate_mib_s: float) -> None:
        """Start `count` readers at once, each of `rate_mib_s` MiB/s."""
        for _ in range(count):
            try:
                Reader(self, port, request.encode(), READ_BYTES / (rate_mib_s * 2**20))
            except OSError:
                self.states["refused"] += 1

    def do_status(self) -> dict[str, object]:
        """Bytes received by all, response headers included, and how many readers are in which state."""
        return {"received": self.received, "states": self.states}


class Reader:
    """`state`: "waiting" until the response begins, then "reading"; "refused" or "ended" if it stops too early."""

    def __init__(self, loop: Readers, port: int, request: bytes, pause_s: float) -> None:
        connection = connecting(port, receive_buffer=READ_BYTES)
        self.loop, self.request, self.pause_s, self.state = loop, request, pause_s, "waiting"
        loop.states[self.state] += 1
        self.fd = connection.detach()
        loop.watch(self.fd, select.EPOLLOUT, self.write)

    def write(self, _: int) -> None:
        try:
            os.write(self.fd, self.request)
        except OSError:
            self.close("refused")
            return
        self.loop.handlers[self.fd] = self.read
        self.loop.epoll.modify(self.fd, select.EPOLLIN)

    def read(self, _: int) -> None:
        try:
            chunk = os.read(self.fd, READ_BYTES)
        except OSError:
            chunk = b""
        if not chunk or (self.state == "waiting" and chunk[9:12] != b"200"):
            self.close("ended" if self.state == "reading" else "refused")
            return
        self.loop.received += len(chunk)
        self.enter("reading")
        self.loop.epoll.modify(self.fd, 0)
        self.loop.at(clock() + self.pause_s, self.resume)

    def resume(self) -> None:
        self.loop.epoll.modify(self.fd, select.EPOLLIN)

    def enter(self, state: str) -> None:
        self.loop.states[self.state] -= 1
        self.loop.states[state] += 1
        self.state = state

    def close(self, state: str) -> None:
        self.enter(state)
        del self.loop.handlers[self.fd]
        os.close(self.fd)


if __name__ == "__main__":
    Readers().run()
