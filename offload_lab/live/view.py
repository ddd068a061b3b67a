"""All sides, looked at together, and what was seen so far. One thread looks; any number of pages follow."""

import threading
import time
from collections import deque
from collections.abc import Iterator, Sequence
from types import TracebackType
from typing import Any, Self

from offload_lab.process.background import Background

from .actions import ACTIONS, find
from .recording import LIMITS
from .side import Side

Json = dict[str, Any]
EVERY_S = 0.25
BUDGET = 0.04  # of a core, at most: where a look costs more, the next one comes later
KEPT_FRAMES = 1200
WINDOW_S = 30.0
COST_OVER_S = 5.0
UNSEEN_S = 10.0  # so long it goes on when no page follows: nothing is spent on what nobody sees


class View:
    """What the pages show. `frames` are plain data; each has a number, counted from 1."""

    def __init__(self, step: str, title: str, sides: Sequence[Side]) -> None:
        self.step, self.title, self.sides = step, title, sides
        self.frames: deque[Json] = deque(maxlen=KEPT_FRAMES)
        self.start = time.monotonic()
        self.closed = threading.Event()
        self._new = threading.Condition()
        self._actions = self._pages = 0
        self._seen_at = self.start
        self._spent: deque[tuple[float, float]] = deque()  # when, and seconds of CPU time that it cost
        self._thread = Background("the live view", self._run, self.closed.set)

    def about(self) -> Json:
        return {
            "step": self.step,
            "title": self.title,
            "sides": [side.about() for side in self.sides],
            "actions": [
                {"name": action.name, "label": action.label, "key": action.key, "icon": action.icon}
                for action in ACTIONS
            ],
            "window_s": WINDOW_S,
            **LIMITS,
        }

    def act(self, action: str) -> int:
        """Do it on all sides; its number, which each side's frame says once it is done.

        Raises: UnknownNameError.
        """
        find(action)
        with self._new:
            self._actions += 1
            for side in self.sides:
                side.submit(self._actions, action)
            return self._actions

    def spend(self, cpu_s: float) -> None:
        """Count what serving the page costs, too."""
        self._spent.append((time.monotonic(), cpu_s))

    def cost_percent(self) -> float:
        """CPU time of watching and of serving the page, in percent of one core; not that of the clients."""
        now = time.monotonic()
        while self._spent and self._spent[0][0] < now - COST_OVER_S:
            self._spent.popleft()
        over_s = min(COST_OVER_S, now - self.start)
        return round(100 * sum(cost for _, cost in list(self._spent)) / max(over_s, EVERY_S), 1)

    def follow(self) -> Iterator[list[Json]]:
        """First the frames of the window, then each as it comes; an empty list now and then while none does."""
        with self._new:
            self._pages += 1
            self._new.notify_all()
            oldest = time.monotonic() - self.start - WINDOW_S
            found = [frame for frame in self.frames if frame["at"] >= oldest]
        last = 0
        try:
            while not self.closed.is_set():
                yield found
                last = found[-1]["n"] if found else last
                with self._new:
                    self._new.wait(timeout=1.0)
                    found = [frame for frame in list(self.frames)[-8:] if frame["n"] > last]
        finally:
            with self._new:
                self._pages -= 1
                self._seen_at = time.monotonic()

    def _wait_for_a_page(self) -> None:
        unseen = not self._pages and time.monotonic() - self._seen_at > UNSEEN_S
        for side in self.sides:
            side.pause(unseen)
        with self._new:
            while unseen and not self._pages and not self.closed.is_set():
                self._new.wait(timeout=1.0)

    def _run(self) -> None:
        while not self.closed.is_set():
            self._wait_for_a_page()
            began = time.thread_time()
            self._look()
            cost = time.thread_time() - began
            self.spend(cost)
            self.closed.wait(max(EVERY_S, cost / BUDGET))
        with self._new:
            self._new.notify_all()

    def _look(self) -> None:
        at = round(time.monotonic() - self.start, 3)
        sides = [side.frame(self.start) for side in self.sides]
        with self._new:
            number = self.frames[-1]["n"] + 1 if self.frames else 1
            self.frames.append({"n": number, "at": at, "cost_percent": self.cost_percent(), "sides": sides})
            self._new.notify_all()

    def __enter__(self) -> Self:
        self._thread.__enter__()
        return self

    def check(self) -> None:
        """Raises: what the thread's work raised, if it did."""
        self._thread.check()

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self._thread.__exit__(kind, value, trace)
        finally:
            for side in self.sides:
                side.close()
