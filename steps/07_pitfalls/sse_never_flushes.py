"""Tickets, one after the other, made with `sse` 1.2: sent as the article does it, and as the library intends it."""

import time
from itertools import count

from sse import Sse

from offload_lab.stages.site import with_ping
from offload_lab.stages.site.arguments import argument

TICK_S = float(argument("tick_s"))
HEADERS = [("Content-Type", "text/event-stream"), ("Cache-Control", "no-store")]


@with_ping
def broken(environ, start_response):
    start_response("200 OK", HEADERS)
    session = Sse()
    for number in count(1):
        session.add_message("message", f"ticket {number}")
        yield str(session).encode()  # reads the buffer and leaves it full: ticket 1 is sent again with every other
        time.sleep(TICK_S)


@with_ping
def fixed(environ, start_response):
    start_response("200 OK", HEADERS)
    session = Sse()
    for number in count(1):
        session.add_message("message", f"ticket {number}")
        yield "".join(session).encode()  # iterating empties it
        time.sleep(TICK_S)
