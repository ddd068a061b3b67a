"""Clients that were cut off. No look has a connection that has ended: the looks before tell where it was."""

from collections import deque
from collections.abc import Sequence
from typing import Any

from offload_lab.inspect.describe import count

from .client import Client
from .frame import ELSEWHERE, NAMED, QUEUE, lane_name, place
from .sentence import NOUNS, STUCK_S
from .watcher import Look

Json = dict[str, Any]
ALARM_S = 5.0  # so long a side is not good after a loss, and the page shows what has just changed
KEPT_LOOKS = 8  # a client may notice its end some looks after the last one that has its connection
UNSEEN = ""  # the place of a client that no look has seen


class Losses:
    """The lost clients of one side, each told once."""

    def __init__(self) -> None:
        self._looks: deque[Look] = deque(maxlen=KEPT_LOOKS)
        self._told: set[str] = set()

    def see(self, look: Look) -> None:
        self._looks.append(look)

    def news(self, lost: Sequence[Client]) -> list[Json]:
        """Those of `lost` that are new, by the place where each was last seen."""
        new = [client for client in lost if client.name not in self._told]
        self._told = {client.name for client in lost}
        if not new:
            return []
        seen = {port: where for look in self._looks for port, where in places_by_port(look).items()}
        found: dict[str, list[Client]] = {}
        for client in new:
            found.setdefault(seen.get(client.port, UNSEEN), []).append(client)
        return [
            {"place": where, "n": len(clients), "tokens": [(client.name, client.kind) for client in clients[:NAMED]]}
            for where, clients in found.items()
        ]


def places_by_port(look: Look) -> dict[int, str]:
    """``queue``, ``worker``, ``lane 1``, ``backend NAME``: a place keeps its name when its process is replaced."""
    names = {QUEUE: QUEUE, **{backend.name: f"backend {backend.name}" for backend in look.backends}}
    for worker in look.snapshot.front.workers:
        names[f"worker {worker.pid}"] = "worker"
        tids = (*worker.offload_tids, *worker.like_offload_tids)
        names.update({lane_name(tid): f"lane {number}" for number, tid in enumerate(tids, 1)})
    found = {}
    for connection in look.snapshot.connections:
        port, where = connection.client.rpartition(":")[2], place(connection, look)
        if port.isdigit() and where != ELSEWHERE:
            found[int(port)] = names[where]
    return found


def with_alarm(frame: Json, lost: Sequence[Client], now: float) -> Json:
    """What clients make of it: that some have just been lost is said first; that a bystander waits, also where nothing
    else is wrong. The side is not good then."""
    recent = [client.kind for client in lost if client.ended is not None and now - client.ended < ALARM_S]
    if frame["state"] == "good" and frame["waiting_s"] >= STUCK_S:
        text = f"{frame['text']} A bystander has waited for {frame['waiting_s']:.0f} s."
        frame = {**frame, "text": text, "state": "bad"}
    if not recent:
        return frame
    parts = [count(recent.count(kind), noun) for kind, noun in NOUNS.items() if kind in recent]
    return {**frame, "text": f"Lost: {' and '.join(parts)}. {frame['text']}", "state": "bad"}
