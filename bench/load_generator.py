"""The runner's side of the load generator: starts its processes, sends commands, adds up the replies."""

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

REPLY_S = 60.0
END_S = 10.0
MOST_STREAMS = 12_500  # of one load process: below the usual limit of descriptors, and the ports of one address
POLL_S = 0.05
WARM_UPS, WARM_UP_STREAMS = 4, 40


def stream_processes(streams: int) -> int:
    """How many load processes hold that many streams."""
    return max(2, -(-streams // MOST_STREAMS))


class LoadProcess:
    """One process of `bench.load`. It ends when our end of its standard input is closed, by us or by our death."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self._process = subprocess.Popen(
            [sys.executable, "-m", f"bench.load.{kind}"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            bufsize=0,
            cwd=ROOT,
            start_new_session=True,  # Ctrl-C is for us; the process notices that its input has ended
        )

    def ask(self, do: str, **arguments: Any) -> Any:
        """The reply to one command.

        Raises: LabError where the process has ended or does not reply.
        """
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            self._process.stdin.write(json.dumps({"do": do, **arguments}).encode() + b"\n")
        except BrokenPipeError:
            raise LabError(f"the load process {self.kind} has ended; its last output is above") from None
        deadline, reply = Deadline(REPLY_S), bytearray()
        while not reply.endswith(b"\n"):  # one command at a time, so nothing can follow
            if not readable(self._process.stdout, deadline.left()):
                raise LabError(f"the load process {self.kind} sent no whole reply to {do} within {REPLY_S:g} s")
            if not (chunk := os.read(self._process.stdout.fileno(), 2**20)):
                raise LabError(f"the load process {self.kind} has ended; its last output is above")
            reply += chunk
        return json.loads(reply)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        try:
            self._process.wait(END_S)
        except subprocess.TimeoutExpired:
            self._process.kill()  # it holds connections only, nothing to clean up
            self._process.wait(END_S)
        finally:
            self._process.stdout.close()


@dataclass
class Opened:
    """The outcome of opening streams. `opened_s`: seconds until the last response."""

    attempted: int
    established: int
    opened_s: float
    failures: dict[str, int] = field(default_factory=dict)


class Streams:
    """The streams of all load processes together."""

    def __init__(self, processes: list[LoadProcess], port: int, cookie: str) -> None:
        self._processes, self._port, self._cookie = processes, port, cookie

    def open(self, count: int, feeds: tuple[str, ...], at_once: int, within_s: float) -> Opened:
        """Returns once all were answered, or after `within_s` seconds."""
        requests = [request(f"/subscribe?feed={feed}", self._cookie) for feed in feeds]
        started = time.monotonic()
        for place, process in enumerate(self._processes):
            share = count // len(self._processes) + (place < count % len(self._processes))
            source = f"127.0.0.{2 + place}"
            window = max(1, at_once // len(self._processes))
            process.ask("open", port=self._port, source=source, requests=requests, count=share, at_once=window)
        while time.monotonic() < started + within_s and self._total("waiting"):
            time.sleep(POLL_S)
        states = self._ask("status")
        self._ask("give_up")
        established = sum(state["established"] for state in states)
        failures = sum((Counter[str](state["failures"]) for state in states), Counter[str]())
        if late := count - established - failures.total():
            failures["no answer in time"] = late
        opened_s = max(state["last"] for state in states) - started if established else 0.0
        return Opened(count, established, opened_s, dict(failures))

    def warm_up(self, workers: int) -> None:
        """Open and close a few streams: what each worker does once is not counted as the cost of a stream."""
        for _ in range(WARM_UPS * workers):
            self.open(WARM_UP_STREAMS, FEEDS, WARM_UP_STREAMS, REPLY_S)
            self.cut()

    def still_open(self) -> int:
        return self._total("open")

    def take(self) -> dict[float, list[float]]:
        """Seconds by which the events received since the last call were late, by due time."""
        late: dict[float, list[float]] = defaultdict(list)
        for taken in self._ask("take"):
            for due, delays in taken.items():
                late[float(due)] += delays
        return late

    def cut(self) -> None:
        self._ask("cut")

    def cpu_s(self) -> float:
        return float(sum(self._ask("cpu")))

    def _ask(self, do: str) -> list[Any]:
        return [process.ask(do) for process in self._processes]

    def _total(self, key: str) -> int:
        return sum(state[key] for state in self._ask("status"))


def request(path: str, cookie: str = "", *, close: bool = False) -> str:
    """A GET as a browser's EventSource sends it."""
    lines = [f"GET {path} HTTP/1.1", "Host: 127.0.0.1", "Accept: text/event-stream"]
    lines += [f"Cookie: {cookie}"] * bool(cookie) + ["Connection: close"] * close
    return "\r\n".join([*lines, "", ""])
