"""Five clients of what is deployed, four event streams and a WebSocket: what each gets first."""

from contextlib import ExitStack
from dataclasses import dataclass

from offload_lab.clients.session import Session
from offload_lab.clients.sse import SseClient
from offload_lab.clients.websocket import HandshakeError, WebSocketClient
from offload_lab.stages.stage import Stage

STREAMS = 4  # as many as there are workers
PATIENCE_S = 3.0
NOTHING = "nothing"


@dataclass(frozen=True)
class Seen:
    """`streams` and `websocket`: what each got first, its status or event; `offloads`: the front has threads for it."""

    streams: tuple[str, ...]
    websocket: str
    offloads: bool


def observe(stage: Stage) -> Seen:
    ada = Session(stage.port)
    ada.log_in()
    with ExitStack() as exits:
        streams = tuple(first_event(stage, ada.cookie, exits) for _ in range(STREAMS))
    offloads = any(one["can_offload"] for one in stage.front.stats()["sockets"])
    return Seen(streams, greeting(stage, ada.cookie), offloads)


def first_event(stage: Stage, cookie: str, exits: ExitStack) -> str:
    """The type of a stream's first event, which stays open; else its status, or that nothing came."""
    try:
        client = exits.enter_context(SseClient(stage.port, cookie=cookie, timeout_s=PATIENCE_S))
        return client.next().type if client.head.status == 200 else str(client.head.status)
    except OSError:
        return NOTHING


def greeting(stage: Stage, cookie: str) -> str:
    try:
        headers = {"Cookie": cookie, "Origin": stage.url}
        with WebSocketClient(stage.port, headers=headers, timeout_s=PATIENCE_S):
            return "101"
    except HandshakeError as error:
        return str(error)
    except OSError:
        return NOTHING


# --- rules: a sentence where they match


def workers_proxy(seen: Seen) -> str | None:
    if seen.offloads:
        return None
    return (
        "the front has no offload thread, so each worker took what it should have passed on: it read from the backend,"
        f" wrote nothing to the client, and answered no one else meanwhile. {STREAMS} clients keep all workers."
    )


def wrong_backend(seen: Seen) -> str | None:
    refused = [name for name, got in (("streams", seen.streams[0]), ("WebSocket", seen.websocket)) if "403" in got]
    if not refused:
        return None
    return (
        f"Django authorised the {' and the '.join(refused)}, and a backend answered 403 not authorised: it was told"
        " X-Offload-To of another one. A route leads to the wrong socket."
    )


def no_route(seen: Seen) -> str | None:
    if not seen.offloads or NOTHING not in (*seen.streams, seen.websocket):
        return None
    what = "the streams" if NOTHING in seen.streams else "the WebSocket"
    return (
        f"Django authorised {what}, its headers were kept back, and no route passed the connection on: an empty reply."
    )


RULES = (workers_proxy, wrong_backend, no_route)
