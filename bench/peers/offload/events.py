"""The gevent app on a private socket. One greenlet a feed encodes each event once and writes it to every listener.

A listener costs a descriptor and no greenlet: the request ends as soon as the stream is open, and a duplicate of the
descriptor keeps the connection open. The environ is trusted: only the front can open this socket.
"""

import os
import time
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import parse_qs

import gevent  # type: ignore[import-untyped]
import uwsgi  # type: ignore[import-untyped]

from bench.site.feeds import WELCOME, due_after, event

HEADERS = [("Content-Type", "text/event-stream"), ("Cache-Control", "no-store")]
listeners: dict[str, set[int]] = {}


def application(
    environ: dict[str, Any], start_response: Callable[[str, list[tuple[str, str]]], object]
) -> Iterator[bytes]:
    if not environ.get("X_OFFLOAD"):
        start_response("403 Forbidden", [("Content-Type", "text/plain")])
        return
    start_response("200 OK", HEADERS)
    yield WELCOME  # the response headers are sent with the first bytes of the body
    [feed] = parse_qs(environ["QUERY_STRING"])["feed"]
    client = os.dup(uwsgi.connection_fd())
    if feed in listeners:
        listeners[feed].add(client)
    else:
        listeners[feed] = {client}
        gevent.spawn(publish, feed)


def publish(feed: str) -> None:
    """Until the last listener has left."""
    due = time.monotonic()
    while listeners[feed]:
        due = due_after(feed, due)
        gevent.sleep(max(0.0, due - time.monotonic()))
        data = event(feed, due)
        gone = {client for client in listeners[feed] if not sent(client, data)}
        listeners[feed] -= gone
        for client in gone:
            os.close(client)
    del listeners[feed]


def sent(client: int, data: bytes) -> bool:
    """False for a client that left, or reads so slowly that the kernel's buffer is full; a browser reconnects."""
    try:
        return os.write(client, data) == len(data)
    except OSError:
        return False
