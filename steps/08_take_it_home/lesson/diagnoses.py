"""An event stream and a WebSocket of what is deployed: which backend does each get to?"""

from contextlib import ExitStack
from dataclasses import dataclass

from offload_lab.clients.session import Session
from offload_lab.stages.stage import Stage

from .clients import NOTHING, THREADS, first_event, greeting

OPTIONS = THREADS


@dataclass(frozen=True)
class Seen:
    """What each got first: its event, its status, or nothing."""

    stream: str
    websocket: str


def observe(stage: Stage) -> Seen:
    ada = Session(stage.port)
    ada.log_in()
    with ExitStack() as exits:
        return Seen(first_event(stage, ada.cookie, exits), greeting(stage, ada.cookie))


def wrong_backend(seen: Seen) -> str | None:
    refused = [name for name, got in (("stream", seen.stream), ("WebSocket", seen.websocket)) if "403" in got]
    if not refused:
        return None
    return (
        f"Django authorised the {' and the '.join(refused)}, and a backend answered 403 not authorised: it was told"
        " X-Offload-To of another one. A route leads to the wrong socket."
    )


def no_route(seen: Seen) -> str | None:
    if NOTHING not in (seen.stream, seen.websocket):
        return None
    what = "stream" if seen.stream == NOTHING else "WebSocket"
    return f"Django authorised the {what}, its headers were kept back, and no route passed it on: an empty reply."


RULES = (wrong_backend, no_route)
