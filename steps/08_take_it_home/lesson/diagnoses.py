"""Five clients of what is deployed: four event streams and a WebSocket. What each gets, and what the workers do."""

from contextlib import ExitStack, suppress
from dataclasses import dataclass

from offload_lab.clients.session import Session
from offload_lab.clients.sse import SseClient
from offload_lab.clients.websocket import HandshakeError, WebSocketClient
from offload_lab.process.polling import wait_for
from offload_lab.stages.stage import Stage

STREAMS = 4  # as many as there are workers
PATIENCE_S = 3.0
NOTHING = "nothing"


@dataclass(frozen=True)
class Seen:
    """`streams` and `websocket`: what each got first, its status or event; `busy`: workers that stay in a request."""

    streams: tuple[str, ...]
    websocket: str
    busy: int
    workers: int


def observe(stage: Stage) -> Seen:
    ada = Session(stage.port)
    ada.log_in()
    with ExitStack() as exits:
        streams = tuple(first_event(stage, ada.cookie, exits) for _ in range(STREAMS))
        busy = busy_workers(stage)
        workers = len(stage.workers())
    return Seen(streams, NOTHING if busy == workers else greeting(stage, ada.cookie), busy, workers)


def first_event(stage: Stage, cookie: str, exits: ExitStack) -> str:
    """The type of a stream's first event, which stays open; else its status, or that nothing came."""
    try:
        client = exits.enter_context(SseClient(stage.port, cookie=cookie, timeout_s=PATIENCE_S))
        return client.next().type if client.head.status == 200 else str(client.head.status)
    except OSError:
        return NOTHING


def busy_workers(stage: Stage) -> int:
    """Workers that are still in a request once those that only pass one on have had time to."""
    with suppress(TimeoutError):
        wait_for(lambda: not any(worker.busy for worker in stage.workers()), PATIENCE_S, "idle workers")
    return sum(worker.busy for worker in stage.workers())


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
    if not seen.busy:
        return None
    return (
        f"{seen.busy} of {seen.workers} workers stay busy, each with one stream that it proxies itself: no offload"
        " thread took them. As many clients as there are workers, and Django answers no one."
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
    if seen.busy or NOTHING not in (*seen.streams, seen.websocket):
        return None
    what = "the streams" if NOTHING in seen.streams else "the WebSocket"
    return (
        f"Django authorised {what}, its headers were kept back, and no route passed the connection on: an empty reply."
    )


RULES = (workers_proxy, wrong_backend, no_route)
