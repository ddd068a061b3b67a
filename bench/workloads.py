"""The workloads: each has a running contestant do something, and says in numbers how that went."""

import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass
from http.client import HTTPException
from statistics import median

from offload_lab.clients.http import fetch

from . import tree
from .crew import Crew, Opened, Streams, request
from .plan import Cell, Timing
from .server import Server
from .site.feeds import ALL, ALL_EVERY_S, FEEDS, SLOW_S, due_after
from .tally import GRACE_S, Late, Result, bystanders, lateness, together

AT_ONCE = 50  # streams that may be unanswered at a time, where no storm is meant
PING_EVERY_S = 0.01
CALM_S = 0.5  # after many have come at once
RATE_MIB_S = 2.0  # of a slow reader


@dataclass
class Scene:
    """What a workload works with."""

    server: Server
    streams: Streams
    bystanders: Crew
    readers: Crew
    cell: Cell
    timing: Timing
    cookie: str

    def open(self, feeds: tuple[str, ...] = FEEDS, at_once: int = AT_ONCE) -> Opened:
        return self.streams.open(self.cell.streams, feeds, at_once, self.timing.open_within_s)

    def bystanders_wait(self, meanwhile: Callable[[], object]) -> list[float]:
        """How long each waited who came until `meanwhile` returned, in ms; infinite for who was given up."""
        self.bystanders.ask("come", port=self.server.port, request=request("/ping", close=True), every_s=PING_EVERY_S)
        meanwhile()
        self.bystanders.ask("stop")
        given_up = time.monotonic() + self.timing.patience_s
        while (said := self.bystanders.ask("waits"))["asked"] > len(said["waits"]) and time.monotonic() < given_up:
            time.sleep(0.05)
        return [1000 * wait for wait in said["waits"]] + [float("inf")] * (said["asked"] - len(said["waits"]))


def pause(seconds: float) -> Callable[[], None]:
    return lambda: time.sleep(seconds)


def hold(scene: Scene) -> Result:
    """All streams are open, and each has an event a second."""
    idle = scene.bystanders_wait(pause(scene.timing.idle_s))
    before_kib, slab_kib = scene.server.own_kib(), tree.slab_kib()
    opened = scene.open()
    time.sleep(CALM_S)
    used, late, began = cost(scene, scene.timing.quiet_s)
    waits = scene.bystanders_wait(pause(scene.timing.beside_s))
    time.sleep(GRACE_S)
    late = together(late, scene.streams.take())
    seconds = int(scene.timing.quiet_s + scene.timing.beside_s)
    return {
        **asdict(opened),
        **bystanders(idle, waits),
        **lateness(
            [some for due, some in late.items() if began <= due < began + seconds], opened.established * seconds
        ),
        **used,
        **memory(scene, before_kib, slab_kib, opened.established),
        "lost": max(0, opened.established - scene.streams.still_open()),
    }


def broadcast(scene: Scene) -> Result:
    """All streams are open, and every two seconds all get the same event."""
    idle = scene.bystanders_wait(pause(scene.timing.idle_s))
    before_kib, slab_kib = scene.server.own_kib(), tree.slab_kib()
    opened = scene.open((ALL,))
    halfway = due_after(ALL, time.monotonic()) + ALL_EVERY_S / 2
    time.sleep(halfway - time.monotonic())
    lasts_s = scene.timing.broadcasts * ALL_EVERY_S
    used, late, _ = cost(scene, lasts_s)
    waits = scene.bystanders_wait(pause(lasts_s))
    heard = list(together(late, scene.streams.take()).values())
    return {
        **asdict(opened),
        **bystanders(idle, waits),
        **lateness(heard, 2 * scene.timing.broadcasts * opened.established),
        "first_ms": 1000 * median(map(min, heard)) if heard else None,
        "last_ms": 1000 * median(map(max, heard)) if heard else None,
        **used,
        **memory(scene, before_kib, slab_kib, opened.established),
        "lost": max(0, opened.established - scene.streams.still_open()),
    }


def storm(scene: Scene) -> Result:
    """Everybody connects at the same moment; then all are cut off, and all come back at the same moment."""
    everybody = scene.cell.streams
    idle = scene.bystanders_wait(pause(scene.timing.idle_s))
    attempts = []

    def come_leave_and_come_back() -> None:
        attempts.append(scene.open(at_once=everybody))
        time.sleep(CALM_S)
        scene.streams.cut()
        attempts.append(scene.open(at_once=everybody))

    waits = scene.bystanders_wait(come_leave_and_come_back)
    first, again = attempts
    return {
        **asdict(first),
        "again_established": again.established,
        "again_s": again.opened_s,
        "again_failures": again.failures,
        **bystanders(idle, waits),
        "answers_afterwards": scene.server.answers(scene.timing.patience_s),
    }


def poison(scene: Scene) -> Result:
    """While all streams are open, somebody asks for a view that blocks for two seconds."""
    idle = scene.bystanders_wait(pause(scene.timing.idle_s))
    opened = scene.open()
    time.sleep(CALM_S)
    scene.streams.take()
    asks = threading.Thread(target=ask_for_what_blocks, args=(scene.server.port,))
    began = time.monotonic()
    asks.start()
    waits = scene.bystanders_wait(pause(SLOW_S))
    asks.join()
    time.sleep(SLOW_S + GRACE_S)  # for what was held up
    late = scene.streams.take()
    during = [some for due, some in late.items() if began <= due < began + SLOW_S]
    return {**asdict(opened), **bystanders(idle, waits), **lateness(during, opened.established * SLOW_S)}


def ask_for_what_blocks(port: int) -> None:
    with suppress(OSError, HTTPException):  # what becomes of this one is not the question
        fetch(port, "/slow")


def download(scene: Scene) -> Result:
    """Slow readers, each with a file."""
    idle = scene.bystanders_wait(pause(scene.timing.idle_s))
    before_kib, slab_kib = scene.server.own_kib(), tree.slab_kib()
    scene.readers.ask(
        "open",
        port=scene.server.port,
        request=request("/file", scene.cookie, close=True),
        count=scene.cell.streams,
        rate_mib_s=RATE_MIB_S,
    )
    time.sleep(CALM_S)
    received = scene.readers.ask("status")["received"]
    used, _, _ = cost(scene, scene.timing.quiet_s)
    mib = (scene.readers.ask("status")["received"] - received) / 2**20
    waits = scene.bystanders_wait(pause(scene.timing.beside_s))
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


# --- what it cost


def cost(scene: Scene, for_s: float) -> tuple[Result, Late, float]:
    """CPU in s that the contestant and the streams' crews use within `for_s` seconds, the events that come then, and
    since when none was thrown away."""
    server, streams = scene.server, scene.streams
    streams.take()
    began = time.monotonic()
    cpu, crews = server.cpu_s(), streams.cpu_s()
    time.sleep(for_s)
    cpu_after, crews_after = server.cpu_s(), streams.cpu_s()
    late = streams.take()
    used = {
        "cpu_s": {name: cpu_after[name] - cpu[name] for name in cpu},
        "crews_cpu_s": crews_after - crews,
        "counted_events": sum(map(len, late.values())),
        "counted_s": for_s,
    }
    return used, late, began


def memory(scene: Scene, before_kib: dict[str, float], slab_kib: float, streams: int) -> Result:
    """KiB before the first stream, and what each added: by process; in the kernel, the visitors' ends included."""
    now, slab_now_kib = scene.server.own_kib(), tree.slab_kib()
    each = {name: (now[name] - before_kib[name]) / streams for name in now} if streams else {}
    kernel = (slab_now_kib - slab_kib) / streams if streams else None
    return {"idle_kib": before_kib, "kib_each": each, "slab_kib_each": kernel}
