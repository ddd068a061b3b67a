"""In front: before a visitor is handed over, ask whether somebody is there to take over."""

import socket
import time

from not_now import not_now

from offload_lab.site import run_folder, with_ping

BACKEND = str(run_folder() / "sse.sock")
PING = bytes([100, 0, 0, 0])  # a packet of uWSGI's protocol that every uWSGI answers by itself, whatever its app does
ANSWER_S = 0.5  # for that answer; as long as this one visitor may keep the worker
SILENCE_S = 1.0  # after none came; nobody else is made to wait then

silent_until = 0.0


def somebody_is_there() -> bool:
    """Whether the app behind takes visitors: it runs, is not stuck, and has a greenlet free.

    Connections are taken in the order in which they came. So with the answer nobody is left in the listen queue who was
    there before us, and there is room for the visitor.
    """
    global silent_until
    if time.monotonic() < silent_until:
        return False
    with socket.socket(socket.AF_UNIX) as knock:
        knock.settimeout(ANSWER_S)
        try:
            knock.connect(BACKEND)
            knock.sendall(PING)
            return knock.recv(4)[:1] == PING[:1]
        except TimeoutError:
            silent_until = time.monotonic() + SILENCE_S
        except OSError:
            pass  # nobody listens, or the listen queue is full: known at once
    return False


@with_ping
def application(environ, start_response):
    if not somebody_is_there():
        return not_now(start_response, b"no streams just now")
    start_response("200 OK", [("X-Offload-to-SSE", "ada")])
    return []
