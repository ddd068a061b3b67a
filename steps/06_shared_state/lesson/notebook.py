"""What the notebook about shared state needs beside `offload_lab.notebook`: clients who come back while a backend is
killed, their picture, and the backend that accepts each key once."""

import importlib.util
import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from contextlib import closing, suppress
from dataclasses import dataclass
from itertools import pairwise

from matplotlib.figure import Figure

from offload_lab.clients.backend_request import BackendClient
from offload_lab.clients.event_source import EventSource, EventSourcePool
from offload_lab.clients.session import Session
from offload_lab.clients.sse import Event, SseClient
from offload_lab.errors import LabError, MissingDependencyError
from offload_lab.notebook.display import progress
from offload_lab.plots.streams import frameless
from offload_lab.plots.timeline import FREE, INK, STUCK
from offload_lab.process.deadlines import Deadline
from offload_lab.stages import manifest
from offload_lab.stages.stage import Stage
from offload_lab.timeouts import scaled
from offload_lab.uwsgi.protocol import connect, packet

STEP = "06_shared_state"
QUICK = {"tick_s": "0.1", "heartbeat_s": "0.5", "retry_ms": "600"}
WAIT_S = 20.0
POLL_S = 0.01
CACHE = (111, 17)  # uWSGI's modifiers for a question to its cache


def logged_in(stage: Stage) -> Session:
    ada = Session(stage.port)
    ada.log_in()
    return ada


def need_redis() -> None:
    """Raises: LabError, in one line, where this machine has no redis-server or Python no client for it."""
    if importlib.util.find_spec("redis") is None:
        raise MissingDependencyError("Python's client for Redis", "shared state", "pip install redis")
    asked = [sys.executable, str(manifest.find(STEP).folder / "redis_server.py")]
    answer = subprocess.run(asked, capture_output=True, text=True, check=False)
    if answer.returncode:
        raise LabError(answer.stderr.strip())


class Forgetful(EventSourcePool):
    """Clients that reconnect without Last-Event-ID."""

    def _subscribe(self, source: EventSource) -> None:
        source.last_event_id = ""
        super()._subscribe(source)


@dataclass
class FeedRecording:
    """For each client: when which number arrived, in seconds since the start; `killed` is when the backend was."""

    clients: list[list[tuple[float, int]]]
    killed: float
    victims: list[bool]  # the client was at that backend
    last: int  # the last number of all clients

    def missed(self, client: int) -> list[int]:
        """The numbers between this client's first and last that never arrived."""
        arrived = {number for _, number in self.clients[client]}
        return [number for number in range(min(arrived), self.last) if number not in arrived]

    @property
    def missed_most(self) -> int:
        return max(len(self.missed(client)) for client in range(len(self.clients)))

    @property
    def repeated(self) -> int:
        """How many events any client got more than once."""
        return sum(after <= before for arrived in self.clients for (_, before), (_, after) in pairwise(arrived))


def record_feed(
    clients: int = 8, *, remember: bool = True, before_s: float = 1.0, after_s: float = 2.5
) -> FeedRecording:
    """Clients subscribe to the feed, each at one of two backends; `kill -9` ends the one that has more of them."""
    kind = EventSourcePool if remember else Forgetful
    title = f"{clients} clients{'' if remember else ', without Last-Event-ID'}"
    with progress(title) as done, Stage(STEP, "stream", placeholders=QUICK) as stage:
        with kind(stage.port, clients, cookie=logged_in(stage).cookie) as crowd:
            crowd.wait_until_all(lambda client: len(client.events) > 1, WAIT_S, "a hello and a train")
            at = [json.loads(client.events[0].data)["backend"] for client in crowd.all]
            [(victim, _)] = Counter(at).most_common(1)
            seen = [[(0.0, number_of(event)) for event in client.events] for client in crowd.all]
            start = time.monotonic()
            killed, ends = start + before_s, start + before_s + after_s
            alive, last = True, sys.maxsize
            while min(max(number for _, number in arrived) for arrived in seen) < last:
                now = time.monotonic()
                if now > ends + scaled(WAIT_S):
                    raise LabError(f"not all clients reconnected; {crowd.open} of {clients} are connected")
                if alive and now > killed:
                    for pid in stage.process(victim).pids():
                        with suppress(ProcessLookupError):  # a worker ends with its master
                            os.kill(pid, signal.SIGKILL)
                    alive, killed = False, time.monotonic()
                if now > ends and last == sys.maxsize:
                    last = max(number for arrived in seen for _, number in arrived)
                for client, arrived in zip(crowd.all, seen, strict=True):
                    arrived += [(now - start, number_of(event)) for event in client.events[len(arrived) :]]
                done(min(1.0, (now - start) / (ends - start)))
                time.sleep(POLL_S)
    numbered = [[(when, number) for when, number in arrived if 0 < number <= last] for arrived in seen]
    return FeedRecording(numbered, killed - start, [backend == victim for backend in at], last)


def number_of(event: Event) -> int:
    """The number of the event in the feed; 0 for a greeting, which is not in the feed."""
    return int(json.loads(event.data).get("number", 0))


def feed_picture(recording: FeedRecording) -> Figure:
    """A lane for each client, in which the numbers rise; a cross for what never arrived, when others got it."""
    figure = Figure(figsize=(10, 0.6 * len(recording.clients) + 1.2), facecolor="white", layout="constrained")
    axes = figure.subplots()
    first = min(number for arrived in recording.clients for _, number in arrived)
    first_arrival: dict[int, float] = {}
    for when, number in sorted(pair for arrived in recording.clients for pair in arrived):
        first_arrival.setdefault(number, when)
    for lane, arrived in enumerate(recording.clients):

        def height(number: int, lane: int = lane) -> float:
            return -lane + 0.75 * (number - first) / max(1, recording.last - first)

        colour, marker = (STUCK, "s") if recording.victims[lane] else (FREE, "o")
        axes.plot([when for when, _ in arrived], [height(n) for _, n in arrived], marker, color=colour, markersize=3.5)
        for number in recording.missed(lane):
            axes.plot([first_arrival[number]], [height(number)], "x", color=INK, markersize=5)
        label, beside = f"{len(recording.missed(lane))} missing", axes.get_yaxis_transform()
        axes.text(1.01, 0.35 - lane, label, transform=beside, va="center", color=INK, fontsize=11)
    axes.axvline(recording.killed, color=INK, linestyle="--", linewidth=1.2)
    axes.text(
        recording.killed, 1.01, "kill -9", transform=axes.get_xaxis_transform(), ha="center", color=INK, fontsize=11
    )
    axes.set_yticks([0.35 - lane for lane in range(len(recording.clients))], labels=map(lane_name, recording.victims))
    axes.tick_params(colors=INK)
    axes.set_xlabel("seconds; a mark is an event, and within a lane the later events are the higher ones", color=INK)
    frameless(axes, "bottom")
    return figure


def lane_name(victim: bool) -> str:
    return "at the backend that is killed" if victim else "at the other"


# --- the claim check


def claim_commands(stage: Stage, cookie: str) -> tuple[list[str], Event]:
    """The commands that Redis gets while a client subscribes, and the client's first event."""
    import redis  # not everybody has it: need_redis

    store = redis.Redis.from_url(f"unix://{stage.run}/redis.sock", decode_responses=True, socket_timeout=WAIT_S)
    commands: list[str] = []
    with closing(store), store.monitor() as monitor, SseClient(stage.port, cookie=cookie) as client:  # type: ignore[no-untyped-call]
        first = client.next()
        deadline = Deadline(WAIT_S)
        while not commands or not commands[-1].startswith("GETDEL"):
            if not deadline.left():
                raise LabError(f"Redis got no GETDEL within {WAIT_S:g} s, but: {commands}")
            command: str = monitor.next_command()["command"]
            if "claim:" in command:
                commands.append(command)
    return commands, first


def try_claim(stage: Stage, key: str) -> str:
    """The backend's status and first event for this key."""
    with BackendClient(stage.run / f"{stage.variant.name}_claims.sock", timeout_s=WAIT_S, X_CLAIM=key) as client:
        first = client.next()
    return f"{client.head.version} {client.head.status}: event: {first.type} data: {first.data}"[:120]


def store_in_cache(stage: Stage, key: str, life_s: int = 60) -> None:
    """A small payload under `key`, through the socket where uWSGI's cache answers.

    Raises: LabError where it refuses.
    """
    payload = json.dumps({"for": "ada", "departures": [{"train": 1}]}).encode()
    command = {"cmd": "set", "cache": "payloads", "key": key, "size": str(len(payload)), "expires": str(life_s)}
    with connect(stage.run / "cache.sock", WAIT_S) as connection:
        connection.sendall(packet(command, CACHE) + payload)
        if b"ok" not in (answer := connection.recv(100)):
            raise LabError(f"the cache answered {answer!r}")
