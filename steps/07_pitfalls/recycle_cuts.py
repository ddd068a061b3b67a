"""Behind: the hall calls a number every now and then, the same for everybody; some visitors come back in between."""

import time
from itertools import count

from offload_lab.stages.site.arguments import argument

TICK_S = float(argument("tick_s"))
OPENED = time.time()
KEPT = 1000  # numbers; whoever was away for longer has to take the next one that is called


def last_called() -> int:
    return int((time.time() - OPENED) / TICK_S)


def forgets(environ, start_response):
    """Whoever comes hears the next number."""
    start_response("200 OK", [("Content-Type", "text/event-stream"), ("Cache-Control", "no-store")])
    return calls(after=last_called())


def remembers(environ, start_response):
    """Whoever comes back hears all that was called meanwhile: EventSource says by itself what it heard last."""
    start_response("200 OK", [("Content-Type", "text/event-stream"), ("Cache-Control", "no-store")])
    heard, now = environ.get("HTTP_LAST_EVENT_ID", ""), last_called()
    missed = now - int(heard) if heard.isascii() and heard.isdigit() and len(heard) < 10 else 0
    return calls(after=now - missed if 0 <= missed <= KEPT else now)


def calls(after):
    yield b"retry: 1000\n"  # a line of the first event: a blank one here would end an event without data
    for number in count(after + 1):
        time.sleep(max(0.0, OPENED + number * TICK_S - time.time()))
        yield f"id: {number}\ndata: number {number}, please\n\n".encode()
