"""Ask a backend whether it takes a connection now, before uWSGI offloads one to it.

Django cannot answer any more once a request is offloaded. A backend that is away then means an empty reply, which nginx
turns into 502, and after any status but 200 an `EventSource` never comes back. So Django looks first, and else sends an
event stream of nothing that says when to come back. Standard library only; where uWSGI offloads, copy this file.
"""

import os
import random
import socket
import time

PINGS = {
    "uwsgi": bytes([100, 0, 0, 0]),  # a packet that every uWSGI answers by itself, whatever its app does
    "http": b"HEAD /ping HTTP/1.0\r\n\r\n",  # any answer will do
}
# how long a request may keep the worker for the backend's answer; more where all cores are busy
ANSWER_S = float(os.environ.get("OFFLOAD_ANSWER_S", "0.5"))
SILENCE_S = 1.0  # how long after a missing answer no other request is made to wait for one

RETRY_MS = 1000, 3000
# With a parameter: a front that offloads by the type `text/event-stream` alone leaves this answer to Django
AGAIN_HEADERS = {"Content-Type": "text/event-stream; charset=utf-8", "Cache-Control": "no-store"}

_silent_until: dict[str, float] = {}


def is_ready(backend: str) -> bool:
    """Whether `backend`, written as in a route (``uwsgi:`` or ``http:``, then a path or host:port), answers now.

    Connections are accepted in the order in which they came, so an answer means more than that a process runs: it is
    not stuck, has a greenlet free, and nothing older is left in its listen queue.
    """
    if time.monotonic() < _silent_until.get(backend, 0.0):
        return False
    protocol, _, address = backend.partition(":")
    try:
        return answers(address, PINGS[protocol])
    except TimeoutError:
        _silent_until[backend] = time.monotonic() + SILENCE_S
    except OSError:
        pass  # nothing listens, or the listen queue is full: known at once
    return False


def answers(address: str, ping: bytes) -> bool:
    """Whether a byte comes back for `ping`.

    Raises: TimeoutError after `ANSWER_S`, OSError without a connection.
    """
    ends = time.monotonic() + ANSWER_S
    host, colon, port = address.rpartition(":")
    is_path = not colon or "/" in address
    with socket.socket(socket.AF_UNIX if is_path else socket.AF_INET) as connection:
        connection.settimeout(ANSWER_S)
        connection.connect(address if is_path else (host, int(port)))
        connection.sendall(ping)
        connection.settimeout(max(0.001, ends - time.monotonic()))
        return bool(connection.recv(1))


def again(why: str) -> bytes:
    """The body of an event stream that ends at once: come back later, each client after another time.

    No blank line, so it is no event, and the client keeps the id of the last one that it had.
    """
    return f"retry: {random.randint(*RETRY_MS)}\n: {why}\n".encode()  # noqa: S311 (no secret)
