"""A crew of bystanders: somebody new asks for /ping every so often, whether or not the others have been answered."""

import os
import select

from .loop import Loop, clock, connecting


class Crew(Loop):
    """`waits` in seconds, of who came since `turn` began."""

    def __init__(self) -> None:
        super().__init__()
        self.waits: list[float] = []
        self.asked = self.turn = 0
        self._coming = False

    def do_come(self, port: int, request: str, every_s: float) -> None:
        """From now on, until told to stop."""
        self.waits.clear()
        self.asked, self.turn, self._coming = 0, self.turn + 1, True
        self._arrive(port, request.encode(), every_s, clock())

    def _arrive(self, port: int, request: bytes, every_s: float, moment: float) -> None:
        if not self._coming:
            return
        self.asked += 1
        try:
            Bystander(self, port, request)
        except OSError:
            pass  # no descriptor or port left: it has asked, and is not among those who were answered
        self.at(moment + every_s, lambda: self._arrive(port, request, every_s, moment + every_s))

    def do_stop(self) -> None:
        self._coming = False

    def do_waits(self) -> dict[str, object]:
        """How many have asked, and how long those waited who have been answered."""
        return {"asked": self.asked, "waits": self.waits}


class Bystander:
    def __init__(self, crew: Crew, port: int, request: bytes) -> None:
        self.crew, self.request, self.answer, self.turn = crew, request, b"", crew.turn
        self.came = clock()
        self.fd = connecting(port).detach()
        crew.watch(self.fd, select.EPOLLOUT, self.ask)

    def ask(self, _: int) -> None:
        try:
            os.write(self.fd, self.request)
        except OSError:
            self.leave()
            return
        self.crew.handlers[self.fd] = self.read
        self.crew.epoll.modify(self.fd, select.EPOLLIN)

    def read(self, _: int) -> None:
        try:
            chunk = os.read(self.fd, 4096)
        except OSError:
            chunk = b""
        self.answer += chunk
        answered = b"pong" in self.answer
        if answered and self.turn == self.crew.turn:
            self.crew.waits.append(clock() - self.came)
        if answered or not chunk:
            self.leave()

    def leave(self) -> None:
        del self.crew.handlers[self.fd]
        os.close(self.fd)


if __name__ == "__main__":
    Crew().run()
