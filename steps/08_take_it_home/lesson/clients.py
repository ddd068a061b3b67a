"""The clients of this step's tasks, and the options that make one task independent of what the others' lines do."""

from contextlib import ExitStack

from offload_lab.clients.sse import SseClient
from offload_lab.clients.websocket import HandshakeError, WebSocketClient
from offload_lab.stages.stage import Stage

PATIENCE_S = 3.0
NOTHING = "nothing"
THREADS = ("--offload-threads", "2")
ROUTES = (  # before the file's own
    "--response-route-if-not",
    "empty:${OFFLOAD_TO} disableheaders:",
    "--response-route-if",
    "equal:${OFFLOAD_TO};feed uwsgi:%(run)/backend.sock,0,0",
)


def first_event(stage: Stage, cookie: str, exits: ExitStack) -> str:
    """The type of a stream's first event, which stays open; else its status, or that nothing came."""
    try:
        client = exits.enter_context(SseClient(stage.port, cookie=cookie, timeout_s=PATIENCE_S))
        return client.next().type if client.head.status == 200 else str(client.head.status)
    except OSError:
        return NOTHING


def greeting(stage: Stage, cookie: str) -> str:
    """What a WebSocket's upgrade is answered with."""
    try:
        headers = {"Cookie": cookie, "Origin": stage.url}
        with WebSocketClient(stage.port, headers=headers, timeout_s=PATIENCE_S):
            return "101"
    except HandshakeError as error:
        return str(error)
    except OSError:
        return NOTHING
