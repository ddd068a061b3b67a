"""What the notebook about deploying needs beside `offload_lab.notebook`: five clients while each part is restarted."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from http.client import HTTPException
from types import TracebackType

from matplotlib.figure import Figure

from offload_lab.clients.event_source import EventSourcePool
from offload_lab.clients.event_stream import Event
from offload_lab.clients.session import TOKEN, Session
from offload_lab.plots.streams import frameless
from offload_lab.plots.timeline import FREE, STUCK
from offload_lab.process.background import Background
from offload_lab.process.deadlines import Deadline
from offload_lab.process.polling import wait_for
from offload_lab.stages import manifest
from offload_lab.stages.stage import Stage

STEP, VARIANT = "08_take_it_home", "deployed"
CLIENTS = 5
WAIT_S = 30.0
POLL_S = 0.01
RETRY_MS = "600"
WITHOUT_TLS = (  # in nginx.conf: these clients speak none, and want a connection for each answer
    ("listen 443 ssl http2;", "listen 127.0.0.1:9443; chunked_transfer_encoding off; keepalive_timeout 0;"),
    ("ssl_certificate ", "# "),
    ("ssl_certificate_key ", "# "),
)


class Notifier:
    """Ada, who is staff, notifies everybody, ten times a second; a notification that is refused is sent once more."""

    def __init__(self, port: int) -> None:
        self.ada = Session(port)
        self.ada.log_in()
        form = TOKEN.search(self.ada.ask("GET", "/").body.decode())
        assert form, "ada is staff, and so her page has the form"
        self.token = form[1]
        self.sent = 0
        self._ended = False
        self._thread = Background("the notifier", self._run, self._end)

    def __enter__(self) -> "Notifier":
        self._thread.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._thread.__exit__(kind, value, trace)

    def _end(self) -> None:
        self._ended = True

    def _run(self) -> None:
        while not self._ended:
            form = {"to": "all", "text": str(self.sent), "token": f"{self.sent:036}", "csrfmiddlewaretoken": self.token}
            try:
                if self.ada.ask("POST", "/notify", form).status == 200:
                    self.sent += 1
            except (OSError, HTTPException):  # also in the middle of an answer
                pass
            time.sleep(0.1)


@dataclass
class Restarts:
    """Of each client: when which number came; `restarts`: when what was restarted, in seconds since the start."""

    clients: list[list[tuple[float, int]]]
    restarts: list[tuple[float, str]]
    connections: list[int]
    last: int

    def missed(self, client: int) -> int:
        numbers = [number for _, number in self.clients[client]]
        return len(set(range(min(numbers), self.last)) - set(numbers))

    @property
    def missed_most(self) -> int:
        return max(self.missed(client) for client in range(len(self.clients)))


@contextmanager
def deployed() -> Iterator[Stage]:
    """Everything of step 08 on loopback, nginx without TLS; its clients are told to reconnect soon."""
    step = manifest.find(STEP)
    assert step.loopback is not None
    loopback = replace(step.loopback, replace=(*step.loopback.replace, *WITHOUT_TLS))
    os.environ["FEED_RETRY_MS"] = RETRY_MS
    try:
        with Stage(replace(step, loopback=loopback), VARIANT) as stage:
            yield stage
    finally:
        del os.environ["FEED_RETRY_MS"]


def restart_each(stage: Stage) -> Restarts:
    """Five clients listen, through nginx, while one part after the other is restarted."""
    parts = [
        ("backend restarted", restart_backend),
        ("workers killed", kill_workers),
        ("front reloaded", reload_front),
        ("nginx reloaded", reload_nginx),
    ]
    assert stage.proxy is not None
    port = stage.proxy.port
    with Notifier(stage.port) as notifier, EventSourcePool(port, CLIENTS, cookie=notifier.ada.cookie) as pool:
        seen: list[list[tuple[float, int]]] = [[] for _ in pool.all]
        began = time.monotonic()
        look = Look(pool, seen, began)
        look.until_all_have(5, "five notifications for each")
        restarts = []
        for name, restart in parts:
            restarts.append((time.monotonic() - began, name))
            restart(stage)
            look.until_all_have(notifier.sent + 10, f"notifications after: {name}")
        last = min(one[-1][1] for one in seen)
        return Restarts(seen, restarts, [one.connections for one in pool.all], last)


@dataclass
class Look:
    """Reads what the clients have, with the time at which each was first seen."""

    pool: EventSourcePool
    seen: list[list[tuple[float, int]]]
    began: float

    def until_all_have(self, number: int, what: str) -> None:
        def read() -> bool:
            now = time.monotonic() - self.began
            for client, had in zip(self.pool.all, self.seen, strict=True):
                numbers = list(numbers_in(client.events))
                had += [(now, number) for number in numbers[len(had) :]]
            return all(had and had[-1][1] >= number for had in self.seen)

        wait_for(read, WAIT_S, what)


def numbers_in(events: Iterable[Event]) -> Iterator[int]:
    for event in list(events):
        if event.type == "notice":
            yield int(json.loads(event.data)["text"])


def restart_backend(stage: Stage) -> None:
    backend = stage.process("backend")
    backend.stop()
    backend.start()
    backend.wait_ready(Deadline(WAIT_S))


def kill_workers(stage: Stage) -> None:
    def kill(pids: set[int]) -> None:
        for pid in pids:
            os.kill(pid, signal.SIGKILL)

    replace_workers(stage, kill)


def reload_front(stage: Stage) -> None:
    replace_workers(stage, lambda _: os.kill(stage.front.pid, signal.SIGHUP))


def reload_nginx(stage: Stage) -> None:
    assert stage.proxy is not None
    stage.proxy.reload(Deadline(WAIT_S))


def replace_workers(stage: Stage, act: Callable[[set[int]], None]) -> None:
    """Returns once the front has as many workers again, all of them new, and answers."""
    before = {worker.pid for worker in stage.workers()}
    act(before)

    def all_new() -> bool:
        now = {worker.pid for worker in stage.workers()} if stage.front.is_ready() else set()
        return len(now) == len(before) and not now & before

    wait_for(all_new, WAIT_S, "new workers")


def metrics(stage: Stage) -> str:
    """What metrics.py prints of the front and both backends, without its comments."""
    script = str(stage.step.folder / "metrics.py")
    sockets = [str(process.stats_socket) for process in stage.processes if process.name != "store"]
    done = subprocess.run([sys.executable, script, *sockets], capture_output=True, text=True, check=True)
    return "\n".join(line for line in done.stdout.splitlines() if line[0] != "#")


def picture(seen: Restarts) -> Figure:
    """A lane for each client, a mark for each notification; dashed: a restart."""
    figure = Figure(figsize=(9, 3.2), layout="constrained")
    axes = figure.subplots()
    for lane, had in enumerate(seen.clients):
        axes.plot([at for at, _ in had], [lane] * len(had), "|", color=FREE, markersize=12)
    for at, name in seen.restarts:
        axes.axvline(at, color=STUCK, linestyle="--")
        axes.annotate(f" {name}", (at, len(seen.clients) - 0.4), color=STUCK)
    axes.set_yticks(range(len(seen.clients)), [f"client {number + 1}" for number in range(len(seen.clients))])
    axes.set_xlabel("seconds")
    axes.set_ylim(-0.5, len(seen.clients))
    frameless(axes)
    return figure
