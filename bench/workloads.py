"""The workloads: each loads a running server and returns numbers."""

import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass
from http.client import HTTPException
from statistics import median

from offload_lab.clients.http import fetch

from . import process_tree
from .aggregate import GRACE_S, Late, Result, bystanders, lateness, merge
from .load_generator import LoadProcess, Opened, Streams, request
from .plan import Cell, Timing
from .server import Server
from .site.feeds import ALL, ALL_EVERY_S, FEEDS, SLOW_S, due_after

AT_ONCE = 50  # unanswered streams at a time, except in a storm
PING_EVERY_S = 0.01
SETTLE_S = 0.5  # after many connections at once
RATE_MIB_S = 2.0  # of a slow reader


@dataclass
class Scene:
    """What a workload works with."""

    server: Server
    streams: Streams
    probes: LoadProcess
    readers: LoadProcess
    cell: Cell
    timing: Timing
    cookie: str

    def open(self, feeds: tuple[str, ...] = FEEDS, at_once: int = AT_ONCE) -> Opened:
        return self.streams.open(self.cell.streams, feeds, at_once, self.timing.open_within_s)

    def probe(self, meanwhile: Callable[[], object]) -> list[float]:
        """The wait in ms of each probe sent until `meanwhile` returned; infinite for an unanswered one."""
        self.probes.ask("start", port=self.server.port, request=request("/ping", close=True), every_s=PING_EVERY_S)
        meanwhile()
        self.probes.ask("stop")
        deadline = time.monotonic() + self.timing.probe_wait_s
        while (reply := self.probes.ask("waits"))["sent"] > len(reply["waits"]) and time.monotonic() < deadline:
            time.sleep(0.05)
        return [1000 * wait for wait in reply["waits"]] + [float("inf")] * (reply["sent"] - len(reply["waits"]))


def pause(seconds: float) -> Callable[[], None]:
    return lambda: time.sleep(seconds)


def hold(scene: Scene) -> Result:
    """All streams are open, and each gets an event a second."""
    idle = scene.probe(pause(scene.timing.idle_s))
    before_kib, slab_kib = scene.server.own_kib(), process_tree.slab_kib()
    before_s = scene.server.cpu_s()
    opened = scene.open()
    opening = {"open_cpu_s": spent(before_s, scene.server.cpu_s()), "threads": scene.server.threads()}
    time.sleep(SETTLE_S)
    used, late, started = cost(scene, scene.timing.quiet_s)
    waits = scene.probe(pause(scene.timing.beside_s))
    time.sleep(GRACE_S)
    late = merge(late, scene.streams.take())
    seconds = int(scene.timing.quiet_s + scene.timing.beside_s)
    return {
        **asdict(opened),
        **opening,
        **bystanders(idle, waits),
        **lateness(
            [delays for due, delays in late.items() if started <= due < started + seconds], opened.established * seconds
        ),
        **used,
        **memory(scene, before_kib, slab_kib, opened.established),
        "lost": max(0, opened.established - scene.streams.still_open()),
    }


def broadcast(scene: Scene) -> Result:
    """All streams are open, and every two seconds all get the same event."""
    idle = scene.probe(pause(scene.timing.idle_s))
    before_kib, slab_kib = scene.server.own_kib(), process_tree.slab_kib()
    opened = scene.open((ALL,))
    halfway = due_after(ALL, time.monotonic()) + ALL_EVERY_S / 2
    time.sleep(halfway - time.monotonic())
    lasts_s = scene.timing.broadcasts * ALL_EVERY_S
    used, late, _ = cost(scene, lasts_s)
    waits = scene.probe(pause(lasts_s))
    received = list(merge(late, scene.streams.take()).values())
    return {
        **asdict(opened),
        **bystanders(idle, waits),
        **lateness(received, 2 * scene.timing.broadcasts * opened.established),
        "first_ms": 1000 * median(map(min, received)) if received else None,
        "last_ms": 1000 * median(map(max, received)) if received else None,
        **used,
        **memory(scene, before_kib, slab_kib, opened.established),
        "lost": max(0, opened.established - scene.streams.still_open()),
    }


def storm(scene: Scene) -> Result:
    """All clients connect at the same moment; then all are cut off, and all reconnect at the same moment."""
    streams = scene.cell.streams
    idle = scene.probe(pause(scene.timing.idle_s))
    attempts = []

    def connect_twice() -> None:
        attempts.append(scene.open(at_once=streams))
        time.sleep(SETTLE_S)
        scene.streams.cut()
        attempts.append(scene.open(at_once=streams))

    waits = scene.probe(connect_twice)
    first, again = attempts
    return {
        **asdict(first),
        "again_established": again.established,
        "again_s": again.opened_s,
        "again_failures": again.failures,
        **bystanders(idle, waits),
        "answers_afterwards": scene.server.answers(scene.timing.probe_wait_s),
    }


def poison(scene: Scene) -> Result:
    """While all streams are open, one request goes to a view that blocks for two seconds."""
    idle = scene.probe(pause(scene.timing.idle_s))
    opened = scene.open()
    time.sleep(SETTLE_S)
    scene.streams.take()
    blocked = threading.Thread(target=request_blocking_view, args=(scene.server.port,))
    started = time.monotonic()
    blocked.start()
    waits = scene.probe(pause(SLOW_S))
    blocked.join()
    time.sleep(SLOW_S + GRACE_S)  # until delayed events have come
    late = scene.streams.take()
    during = [delays for due, delays in late.items() if started <= due < started + SLOW_S]
    return {**asdict(opened), **bystanders(idle, waits), **lateness(during, opened.established * SLOW_S)}


def request_blocking_view(port: int) -> None:
    with suppress(OSError, HTTPException):  # its outcome is not what is measured
        fetch(port, "/slow")


def download(scene: Scene) -> Result:
    """Slow readers, each of one file."""
    idle = scene.probe(pause(scene.timing.idle_s))
    before_kib, slab_kib = scene.server.own_kib(), process_tree.slab_kib()
    scene.readers.ask(
        "open",
        port=scene.server.port,
        request=request("/file", scene.cookie, close=True),
        count=scene.cell.streams,
        rate_mib_s=RATE_MIB_S,
    )
    time.sleep(SETTLE_S)
    received = scene.readers.ask("status")["received"]
    used, _, _ = cost(scene, scene.timing.quiet_s)
    mib = (scene.readers.ask("status")["received"] - received) / 2**20
    waits = scene.probe(pause(scene.timing.beside_s))
    reading = scene.readers.ask("status")["states"].get("reading", 0)
    return {
        "attempted": scene.cell.streams,
        "established": reading,
        "failures": {} if reading == scene.cell.streams else {"not served": scene.cell.streams - reading},
        **bystanders(idle, waits),
        "counted_mib": mib,
        **used,
        **memory(scene, before_kib, slab_kib, reading),
    }


WORKLOADS: dict[str, Callable[[Scene], Result]] = {
    "hold": hold,
    "broadcast": broadcast,
    "storm": storm,
    "poison": poison,
    "download": download,
}


# --- cost


def cost(scene: Scene, for_s: float) -> tuple[Result, Late, float]:
    """CPU in s of the server and of the load generator within `for_s` seconds, the events received in that time, and
    when it started."""
    server, streams = scene.server, scene.streams
    streams.take()
    started = time.monotonic()
    cpu, load = server.cpu_s(), streams.cpu_s()
    time.sleep(for_s)
    cpu_after, load_after = server.cpu_s(), streams.cpu_s()
    ended = time.monotonic()
    late = streams.take()  # with 50,000 streams this takes a second itself, in which more events come
    used = {
        "cpu_s": spent(cpu, cpu_after),
        "load_cpu_s": load_after - load,
        "counted_events": sum(started <= due + delay < ended for due, delays in late.items() for delay in delays),
        "counted_s": for_s,
    }
    return used, late, started


def spent(before: dict[str, float], after: dict[str, float]) -> dict[str, float]:
    return {name: after[name] - before[name] for name in before}


def memory(scene: Scene, before_kib: dict[str, float], slab_kib: float, streams: int) -> Result:
    """KiB before the first stream, and for each stream: by process, and of the kernel, the clients' ends included."""
    now, slab_now_kib = scene.server.own_kib(), process_tree.slab_kib()
    each = {name: (now[name] - before_kib[name]) / streams for name in now} if streams else {}
    kernel = (slab_now_kib - slab_kib) / streams if streams else None
    return {"idle_kib": before_kib, "kib_each": each, "slab_kib_each": kernel}
