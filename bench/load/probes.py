"""A load process of probes: /ping at a fixed rate, each on a new connection, whether or not others were answered."""

import os
import select

from .loop import Loop, clock, connecting


class Probes(Loop):
    """`waits`: seconds until the answer, of the probes sent since `start`."""

    def __init__(self) -> None:
        super().__init__()
        self.waits: list[float] = []
        self.sent = self.series = 0
        self._running = False

    def do_start(self, port: int, request: str, every_s: float) -> None:
        """Send a probe every `every_s` seconds until `stop`."""
        self.waits.clear()
        self.sent, self.series, self._running = 0, self.series + 1, True
        self._send(port, request.encode(), every_s, clock())

    def _send(self, port: int, request: bytes, every_s: float, moment: float) -> None:
        if not self._running:
            return
        self.sent += 1
        try:
            Probe(self, port, request)
        except OSError:
            pass  # no descriptor or port left: sent, and never answered
        self.at(moment + every_s, lambda: self._send(port, request, every_s, moment + every_s))

    def do_stop(self) -> None:
        self._running = False

    def do_waits(self) -> dict[str, object]:
        """How many probes were sent, and the waits of those answered so far."""
        return {"sent": self.sent, "waits": self.waits}


class Probe:
    def __init__(self, loop: Probes, port: int, request: bytes) -> None:
        self.loop, self.request, self.answer, self.series = loop, request, b"", loop.series
        self.started = clock()
        self.fd = connecting(port).detach()
        loop.watch(self.fd, select.EPOLLOUT, self.write)

    def write(self, _: int) -> None:
        try:
            os.write(self.fd, self.request)
        except OSError:
            self.close()
            return
        self.loop.handlers[self.fd] = self.read
        self.loop.epoll.modify(self.fd, select.EPOLLIN)

    def read(self, _: int) -> None:
        try:
            chunk = os.read(self.fd, 4096)
        except OSError:
            chunk = b""
        self.answer += chunk
        answered = b"pong" in self.answer
        if answered and self.series == self.loop.series:
            self.loop.waits.append(clock() - self.started)
        if answered or not chunk:
            self.close()

    def close(self) -> None:
        del self.loop.handlers[self.fd]
        os.close(self.fd)


if __name__ == "__main__":
    Probes().run()
