"""Tickets with ids, made with `sse` 1.2: as the package writes them, and each in one block."""

import time
from itertools import count

from sse import Sse

from offload_lab.stages.site import with_ping
from offload_lab.stages.site.arguments import argument

TICK_S = float(argument("tick_s"))
HEADERS = [("Content-Type", "text/event-stream"), ("Cache-Control", "no-store")]


def tickets(environ):
    """A session for each ticket, from the one after the client's last."""
    last = environ.get("HTTP_LAST_EVENT_ID", "")
    session = Sse(default_retry=1000)
    for number in count(int(last) + 1 if last.isascii() and last.isdigit() and len(last) < 10 else 1):
        session.set_event_id(str(number))
        session.add_message("ticket", f"ticket {number}")
        yield session
        time.sleep(TICK_S)


@with_ping
def broken(environ, start_response):
    start_response("200 OK", HEADERS)
    for session in tickets(environ):
        yield "".join(session).encode()  # id, blank line, event: the id stands in a block of its own


@with_ping
def fixed(environ, start_response):
    start_response("200 OK", HEADERS)
    for session in tickets(environ):
        lines = [line for line in "".join(session).split("\n") if line]
        yield ("\n".join(lines) + "\n\n").encode()  # one blank line, and it is the last
