"""The gevent app on a private socket. One greenlet a feed encodes each event once and writes it to every listener.

A listener costs a descriptor and no greenlet: the request ends as soon as the visitor is let in, and a duplicate of the
descriptor keeps the connection open. It trusts its environ, since only our own front can open its socket.
"""

import os
import time
from urllib.parse import parse_qs

import gevent
import uwsgi

from bench.site.feeds import WELCOME, due_after, event

HEADERS = [("Content-Type", "text/event-stream"), ("Cache-Control", "no-store")]
listeners: dict[str, set[int]] = {}


def application(environ, start_response):
    if not environ.get("X_OFFLOAD"):
        start_response("403 Forbidden", [("Content-Type", "text/plain")])
        return
    start_response("200 OK", HEADERS)
    yield WELCOME  # the head is sent with the first bytes of the body
    [feed] = parse_qs(environ["QUERY_STRING"])["feed"]
    visitor = os.dup(uwsgi.connection_fd())
    if feed in listeners:
        listeners[feed].add(visitor)
    else:
        listeners[feed] = {visitor}
        gevent.spawn(speak, feed)


def speak(feed):
    """For as long as somebody listens."""
    due = time.monotonic()
    while listeners[feed]:
        due = due_after(feed, due)
        gevent.sleep(max(0.0, due - time.monotonic()))
        said = event(feed, due)
        gone = {visitor for visitor in listeners[feed] if not sent(visitor, said)}
        listeners[feed] -= gone
        for visitor in gone:
            os.close(visitor)
    del listeners[feed]


def sent(visitor, said):
    """False for who has left, and for who takes so little that the kernel's buffer is full; a browser comes back."""
    try:
        return os.write(visitor, said) == len(said)
    except OSError:
        return False
