"""The runner's side of the crews: starts them, asks them, adds up what they say."""

import json
import os
import subprocess
import sys
import time
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import Any, Self

from offload_lab.errors import LabError
from offload_lab.paths import ROOT
from offload_lab.process.deadlines import Deadline, readable

from .site.feeds import FEEDS

ANSWER_S = 60.0
END_S = 10.0
CREWS = 2  # processes that hold the streams
POLL_S = 0.05
WARM_UPS, WARM_UP = 4, 40  # times, streams


class Crew:
    """One process of `bench.load`. It ends when our end of its standard input is closed, by us or by our death."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self._process = subprocess.Popen(
            [sys.executable, "-m", f"bench.load.{kind}"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            bufsize=0,
            cwd=ROOT,
            start_new_session=True,  # Ctrl-C is for us; the crew notices that we are gone
        )

    def ask(self, do: str, **words: Any) -> Any:
        """Raises LabError where the crew has ended or does not answer."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            self._process.stdin.write(json.dumps({"do": do, **words}).encode() + b"\n")
        except BrokenPipeError:
            raise LabError(f"the crew of {self.kind} has ended; its words are above") from None
        deadline, answer = Deadline(ANSWER_S), bytearray()
        while not answer.endswith(b"\n"):  # one question at a time, so nothing can follow
            if not readable(self._process.stdout, deadline.left()):
                raise LabError(f"the crew of {self.kind} was asked to {do} and said nothing whole for {ANSWER_S:g} s")
            if not (chunk := os.read(self._process.stdout.fileno(), 2**20)):
                raise LabError(f"the crew of {self.kind} has ended; its words are above")
            answer += chunk
        return json.loads(answer)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        try:
            self._process.wait(END_S)
        except subprocess.TimeoutExpired:
            self._process.kill()  # it holds connections only, nothing to be put away
            self._process.wait(END_S)
        finally:
            self._process.stdout.close()


@dataclass
class Opened:
    """What became of an attempt to open streams. `opened_s` is until the last one that came about was answered."""

    attempted: int
    established: int
    opened_s: float
    failures: dict[str, int] = field(default_factory=dict)


class Streams:
    """The streams of all crews together."""

    def __init__(self, crews: list[Crew], port: int, cookie: str) -> None:
        self._crews, self._port, self._cookie = crews, port, cookie

    def open(self, count: int, feeds: tuple[str, ...], at_once: int, within_s: float) -> Opened:
        """Returns when all have been answered, or nothing more can be expected `within_s` seconds."""
        requests = [request(f"/subscribe?feed={feed}", self._cookie) for feed in feeds]
        began = time.monotonic()
        for place, crew in enumerate(self._crews):
            share = count // len(self._crews) + (place < count % len(self._crews))
            source = f"127.0.0.{2 + place}"
            window = max(1, at_once // len(self._crews))
            crew.ask("open", port=self._port, source=source, requests=requests, count=share, at_once=window)
        while time.monotonic() < began + within_s and self._total("waiting"):
            time.sleep(POLL_S)
        states = [crew.ask("status") for crew in self._crews]
        for crew in self._crews:
            crew.ask("give_up")
        established = sum(state["established"] for state in states)
        failures = Counter[str]()
        for state in states:
            failures.update(state["failures"])
        if late := count - established - failures.total():
            failures["no answer in time"] = late
        opened_s = max(state["last"] for state in states) - began if established else 0.0
        return Opened(count, established, opened_s, dict(failures))

    def warm_up(self, workers: int) -> None:
        """Some come and go, so that what each worker does once is not counted as what a stream costs."""
        for _ in range(WARM_UPS * workers):
            self.open(WARM_UP, FEEDS, WARM_UP, ANSWER_S)
            self.cut()

    def _total(self, what: str) -> int:
        return sum(crew.ask("status")[what] for crew in self._crews)

    def still_open(self) -> int:
        return self._total("open")

    def take(self) -> dict[float, list[float]]:
        """How late the events came that were received since the last time, in s, by the moment they were due."""
        late: dict[float, list[float]] = defaultdict(list)
        for crew in self._crews:
            for due, some in crew.ask("take").items():
                late[float(due)] += some
        return late

    def cut(self) -> None:
        for crew in self._crews:
            crew.ask("cut")

    def cpu_s(self) -> float:
        return sum(crew.ask("cpu") for crew in self._crews)


def request(path: str, cookie: str = "", *, close: bool = False) -> str:
    """A GET as a browser's EventSource sends it."""
    lines = [f"GET {path} HTTP/1.1", "Host: 127.0.0.1", "Accept: text/event-stream"]
    lines += [f"Cookie: {cookie}"] * bool(cookie) + ["Connection: close"] * close
    return "\r\n".join([*lines, "", ""])
