"""Backend: publishes a number every so many seconds, the same to all clients, some of which reconnect in between."""

import time
from itertools import count

from offload_lab.stages.site.arguments import argument

TICK_S = float(argument("tick_s"))
OPENED = time.time()
KEPT = 1000  # numbers; a client that was away for longer gets the next one


def last_published() -> int:
    return int((time.time() - OPENED) / TICK_S)


def forgets(environ, start_response):
    """Sends what is published from now on."""
    start_response("200 OK", [("Content-Type", "text/event-stream"), ("Cache-Control", "no-store")])
    return numbers(after=last_published())


def remembers(environ, start_response):
    """Sends what was published meanwhile first: an EventSource names by itself the last id that it had."""
    start_response("200 OK", [("Content-Type", "text/event-stream"), ("Cache-Control", "no-store")])
    last_id, now = environ.get("HTTP_LAST_EVENT_ID", ""), last_published()
    missed = now - int(last_id) if last_id.isascii() and last_id.isdigit() and len(last_id) < 10 else 0
    return numbers(after=now - missed if 0 <= missed <= KEPT else now)


def numbers(after):
    yield b"retry: 1000\n"  # a line of the first event: a blank one here would end an event without data
    for number in count(after + 1):
        time.sleep(max(0.0, OPENED + number * TICK_S - time.time()))
        yield f"id: {number}\ndata: number {number}, please\n\n".encode()
