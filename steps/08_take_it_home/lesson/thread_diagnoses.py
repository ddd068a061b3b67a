"""As many event streams as there are workers: does Django still answer?"""

from contextlib import ExitStack
from dataclasses import dataclass

from offload_lab.clients.session import Session
from offload_lab.stages.stage import Stage

from .clients import NOTHING, ROUTES, first_event

OPTIONS = ROUTES
STREAMS = 4


@dataclass(frozen=True)
class Seen:
    """`streams`: what each got first, up to one that got nothing; `offloads`: the front has threads for them."""

    streams: tuple[str, ...]
    offloads: bool


def observe(stage: Stage) -> Seen:
    ada = Session(stage.port)
    ada.log_in()
    streams: list[str] = []
    with ExitStack() as exits:
        while len(streams) < STREAMS and NOTHING not in streams:  # the others would wait as long, and get nothing
            streams.append(first_event(stage, ada.cookie, exits))
    return Seen(tuple(streams), any(row["can_offload"] for row in stage.front.stats()["sockets"]))


def workers_proxy(seen: Seen) -> str | None:
    if seen.offloads:
        return None
    return (
        "the front has no offload thread, so each worker took what it should have passed on: it read from the backend,"
        f" wrote nothing to the client, and answered no one else meanwhile. {STREAMS} clients keep all workers."
    )


RULES = (workers_proxy,)
