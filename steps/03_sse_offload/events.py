"""The stream itself: one ticket after the other. The gevent app sends it, and so does Django in blocking.ini."""

import json
import time
from itertools import count

from sse import Sse

from offload_lab.stages.site.arguments import argument

LAST = 999_999_999  # ticket; number 1 follows, so that last_ticket accepts every number that was sent
# seconds: between two tickets, between two heartbeats, and until the client has to ask Django again
TICK_S, HEARTBEAT_S, LIFETIME_S = (float(argument(name)) for name in ("tick_s", "heartbeat_s", "lifetime_s"))
# a line, without the blank one that would end an event: strict clients would see an event without data
HEARTBEAT = ": ♥\n".encode()


def tickets(user, after=0, **details):
    """Yield the stream for `user` as bytes: the tickets that follow number `after`, and first how soon to reconnect."""
    session = Sse(default_retry=1000)
    ends = time.monotonic() + LIFETIME_S
    for number in (before % LAST + 1 for before in count(after)):
        session.set_event_id(str(number))
        session.add_message("ticket", json.dumps({"for": user, "number": number, **details}, indent=1))
        yield as_event(session)
        yield from wait(TICK_S)
        if time.monotonic() > ends:
            return  # the browser comes back by itself, and Django is asked whether it still may


def as_event(session):
    """All that `session` holds as one event, and empty it: iterating does so, str(session) would not.

    `sse` 1.2 ends `retry:` and `id:` with a blank line each. But a blank line ends the event, so a client that reads
    to the letter gets an id without an event, then an event without an id.
    """
    lines = "".join(session).split("\n")
    return ("\n".join(line for line in lines if line) + "\n\n").encode()


def wait(seconds):
    """Sleep, with a comment now and then: only a write that fails tells that the client has left."""
    until = time.monotonic() + seconds
    while (left := until - time.monotonic()) > HEARTBEAT_S:
        time.sleep(HEARTBEAT_S)
        yield HEARTBEAT
    time.sleep(max(0, left))


def last_ticket(header):
    """The number in a Last-Event-ID header, which a client may send or forge: digits, and not too many."""
    return int(header) if header.isascii() and header.isdigit() and len(header) < 10 else 0
