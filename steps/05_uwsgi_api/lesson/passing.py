"""For the notebook: one listener's socket, found in /proc after each thing that happens to its front. On other systems
only the listener is followed."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Self

import psutil
from rich.table import Table

from offload_lab.clients import ping
from offload_lab.clients.event_stream_pool import EventStreamPool
from offload_lab.clients.raw import RawClient
from offload_lab.clients.session import Session
from offload_lab.clients.sse import request_bytes
from offload_lab.inspect.kernel_sockets import open_sockets
from offload_lab.inspect.socket_owners import find_socket_owners
from offload_lab.live.reader import bytes_written
from offload_lab.notebook.display import show_table
from offload_lab.process.deadlines import Deadline
from offload_lab.process.polling import wait_for
from offload_lab.stages.stage import Stage
from offload_lab.system import NOT_TOLD, is_linux
from offload_lab.uwsgi import binary
from offload_lab.uwsgi.binary import Engine
from offload_lab.uwsgi.server import Uwsgi

STEP = "05_uwsgi_api"
WITHIN_S = 30.0
TICK = {"tick_s": "0.1"}
MOMENTS = (
    "half a request\nis sent",
    "events\narrive",
    "the front\nwas reloaded",
    "the front\nis stopped",
    "and started\nagain",
)
WORKER, THREAD, BACKEND = PLACES = ("front: the worker", "front: an offload thread", "backend: its worker")


@dataclass(frozen=True)
class Held:
    """Where the listener's socket is: descriptor `fd` of `pid`; `inode` is the kernel's number of the socket."""

    place: str
    pid: int
    fd: int
    inode: int


@dataclass(frozen=True)
class Way:
    """For each of MOMENTS where the socket was, None where no process had one; how often the listener connected.

    `held` is empty where the system does not tell which thread has a socket, and which socket it is.
    """

    held: tuple[Held | None, ...]
    connections: int


class Listener:
    """Sends half a request, later the rest, and like a browser connects again where its stream has ended."""

    def __init__(self, stage: Stage) -> None:
        session = Session(stage.port)
        session.log_in()
        self.stage, self.connections = stage, 1
        self.request = request_bytes(stage.port, "/subscribe", session.cookie)
        self.client = RawClient(stage.port, self.request[:20])

    def send_rest(self) -> None:
        self.client.send(self.request[20:])

    def read_event(self) -> None:
        """Wait for one more event."""
        self.client.read_available()
        if self.client.closed:
            self.client.socket.close()
            self.client = RawClient(self.stage.port, self.request)
            self.connections += 1
        before = self.client.raw.count(b"data: ")
        self.client.read_until(lambda: self.client.raw.count(b"data: ") > before)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.client.socket.close()


def follow(variant: str, on: Engine, stock_backend: bool = False) -> Way:
    """One listener of the variant, through a reload of its front and a stop and start. `stock_backend`: the wheel."""
    with running(variant, on, stock_backend) as (stage, backend), Listener(stage) as listener:
        held = [locate(stage, backend, listener)]
        listener.send_rest()
        listener.read_event()
        held.append(locate(stage, backend, listener))
        reload_front(stage)
        listener.read_event()
        held.append(locate(stage, backend, listener))
        stage.front.stop()
        held.append(locate(stage, backend, listener))
        stage.front.start()
        stage.front.wait_ready(Deadline(WITHIN_S))
        listener.read_event()
        held.append(locate(stage, backend, listener))
        return Way(tuple(held) if is_linux() else (), listener.connections)


@contextmanager
def running(variant: str, on: Engine, stock_backend: bool) -> Iterator[tuple[Stage, Uwsgi]]:
    with Stage(STEP, variant, engine=on, placeholders=TICK) as stage:
        clock = stage.process("sse")
        if not stock_backend:
            yield stage, clock
            return
        clock.stop()
        with Uwsgi(clock.ini, stage.run, engine=binary.find("wheel"), placeholders=TICK) as stock:
            stock.wait_ready(Deadline(WITHIN_S))
            yield stage, stock


def locate(stage: Stage, backend: Uwsgi, listener: Listener) -> Held | None:
    """The one process that has the socket; a front that passes it has it until the backend has taken it."""
    if not is_linux():
        return None
    port, pids = listener.client.port, set(backend.pids())
    found: list[Held] = []

    def settled() -> bool:
        owners = find_socket_owners(stage.port, port, [*stage.front.pids(), *pids])
        found[:] = [
            Held(place, owner.pid, owner.fd, (open_sockets(owner.pid) or {}).get(owner.fd, 0))
            for owner in owners
            for place in [BACKEND if owner.pid in pids else WORKER if owner.is_main_thread else THREAD]
        ]
        waits_there = all(owner.tid for owner in owners if owner.pid not in pids)
        return not owners or (len(owners) == 1 and waits_there)

    wait_for(settled, WITHIN_S, "one process with the socket")
    return found[0] if found else None


def reload_front(stage: Stage) -> None:
    """Send SIGHUP, as a deployment does. Returns once another worker answers."""
    before = ping(stage.port, WITHIN_S).pid

    def answers() -> bool:
        with suppress(OSError):
            return ping(stage.port, WITHIN_S).pid != before
        return False

    os.kill(stage.front.pid, signal.SIGHUP)
    wait_for(answers, WITHIN_S, "another worker")


def show_costs(on: Engine, streams: int) -> None:
    """What so many open streams cost the front and the backend, proxied and passed."""
    rows = Table("variant", "descriptors a stream: front", "backend", "the front wrote, bytes an event")
    for variant in ("add_var", "pass"):
        with Stage(STEP, variant, engine=on, placeholders=TICK) as stage:
            front, [clock] = stage.workers()[0].pid, stage.process("sse").workers()
            ada = Session(stage.port)
            ada.log_in()
            before = [descriptors(pid) for pid in (front, clock.pid)]
            with EventStreamPool(stage.port, streams, cookie=ada.cookie) as clients:
                clients.wait_for_events(1, WITHIN_S)
                each = [(descriptors(pid) - n) / streams for pid, n in zip((front, clock.pid), before, strict=True)]
                wrote, events = sum(bytes_written(front).values()), count_events(clients)
                clients.wait_for_events(5, WITHIN_S)
                per_event = (sum(bytes_written(front).values()) - wrote) / (count_events(clients) - events)
        written = f"{per_event:.0f}" if is_linux() else NOT_TOLD
        rows.add_row(variant, *(f"{number:.1f}" for number in each), written)
    show_table(rows)


def descriptors(pid: int) -> int:
    return psutil.Process(pid).num_fds()


def count_events(clients: EventStreamPool) -> int:
    return sum(stream.events for stream in clients.all)
