"""The gevent app behind the front: event streams. It trusts its environ, since only the front can open its socket.

The past from Redis, the present from the hub, without a gap and without a repeat. No Django in here.
"""

import json
import os
import time
from functools import lru_cache
from urllib.parse import unquote

from offload.feed import jitter, position
from offload.hub import Hub, MissedError

HEARTBEAT_S = float(os.environ.get("FEED_HEARTBEAT_S", "15"))  # less than nginx's read timeout
LIFETIME_S = float(os.environ.get("FEED_LIFETIME_S", "600"))  # then Django is asked again
RETRY_MS = float(os.environ.get("FEED_RETRY_MS", "2000"))  # until a browser reconnects
HEADERS = [
    ("Content-Type", "text/event-stream"),
    ("Cache-Control", "no-store"),
    ("X-Accel-Buffering", "no"),  # nginx would collect events until a buffer is full
]
NO_REDIS = b": waiting for Redis\n"  # a comment, no event: no blank line behind it

hub = Hub(os.environ["REDIS_URL"], "notifications")


def application(environ, start_response):
    if environ.get("OFFLOAD_TO", "").partition("-")[0] != "feed" or not environ.get("OFFLOAD_USER"):
        start_response("403 Forbidden", [("Content-Type", "text/plain")])
        return [b"not authorised by Django\n"]
    start_response("200 OK", HEADERS)
    channels = environ.get("OFFLOAD_CHANNELS", "").split()
    return stream(unquote(environ["OFFLOAD_USER"]), channels, environ.get("HTTP_LAST_EVENT_ID", ""))


def stream(user, channels, last_event_id):
    """The events of `channels`: behind `last_event_id` if there is one, else from now on."""
    ends = time.monotonic() + jitter(LIFETIME_S)
    while not hub.ready.wait(HEARTBEAT_S):
        yield NO_REDIS
    hello = json.dumps({"user": user, "pid": os.getpid()})
    with hub.client(channels) as client:  # first the queue: from here on nothing is missed
        yield event("hello", last_event_id or client.last, hello, retry_ms=round(jitter(RETRY_MS)))
        if last_event_id:
            yield from replay(client, last_event_id)
        yield from follow(client, ends)
        yield event("bye", client.last, json.dumps({"reason": client.ended or "lifetime"}))


def replay(client, last_event_id):
    """Then the past. A `reset`, and on from now, where the history does not reach back that far."""
    try:
        for entries in hub.replay(client, last_event_id):
            yield NO_REDIS if entries is None else b"".join(map(entry_event, entries))
    except MissedError:
        yield event("reset", client.last, "{}")


def follow(client, ends):
    """Then what is in the queue, until the client's time is over or it has ended."""
    while time.monotonic() < ends:
        entries = client.take(HEARTBEAT_S)
        if client.ended:
            return
        if entries:
            yield b"".join(map(entry_event, entries))
        else:
            # only a write that fails tells that a client has left; and one that gets little keeps a place that the
            # history still has
            client.last = max(client.last, hub.place, key=position)
            yield event("place", client.last, "{}")


@lru_cache(maxsize=256)
def entry_event(entry):
    """The same bytes for every client, made once."""
    return event(entry.type, entry.id, entry.data)


def event(type, id, data, retry_ms=None):
    """One server-sent event. The id stands in the same block as the data: in one of its own it would be believed even
    where the connection is cut in between, and the event would be lost."""
    retry = f"retry: {retry_ms}\n" if retry_ms else ""
    return f"{retry}id: {id}\nevent: {type}\ndata: {data}\n\n".encode()
