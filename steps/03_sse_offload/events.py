"""The stream itself: one ticket number after the other. The gevent app sends it, and so does Django in blocking.ini."""

import json
import sys
import time
from itertools import count

from sse import Sse

# seconds: between two tickets, between two signs of life, and until the visitor has to ask Django again
TICK_S, HEARTBEAT_S, LIFETIME_S = (float(word) for word in sys.argv[-3:])
HEARTBEAT = ": ♥\n\n".encode()


def tickets(who, after=0, **details):
    """Yield the stream for `who` as bytes: first how soon to reconnect, then the tickets that follow number `after`."""
    session = Sse(default_retry=1000)
    ends = time.monotonic() + LIFETIME_S
    for number in count(after + 1):
        session.set_event_id(str(number))
        session.add_message("ticket", json.dumps({"for": who, "number": number, **details}, indent=1))
        yield "".join(session).encode()  # iterating empties the session; str(session) would send it all again and again
        yield from wait(TICK_S)
        if time.monotonic() > ends:
            return  # the browser comes back by itself, and Django is asked whether it still may


def wait(seconds):
    """Sleep, with a comment now and then: only a write that fails tells that the visitor has left."""
    until = time.monotonic() + seconds
    while (left := until - time.monotonic()) > HEARTBEAT_S:
        time.sleep(HEARTBEAT_S)
        yield HEARTBEAT
    time.sleep(max(0, left))


def last_ticket(header):
    """The number in a Last-Event-ID header, which a visitor may send or forge: digits, and not too many."""
    return int(header) if header.isascii() and header.isdigit() and len(header) < 10 else 0
