"""The gevent backend stream.ini, one of several: the history from Redis, then live events, without a gap.

It trusts its environ, since only our own front can open its socket.
"""

import os
import time
from urllib.parse import unquote

import feed
import gevent
from hub import Hub

from offload_lab.stages.site.arguments import argument

NAME, REDIS_URL = argument("name"), argument("redis")
HEARTBEAT_S, LIFETIME_S, RETRY_MS = (float(argument(name)) for name in ("heartbeat_s", "lifetime_s", "retry_ms"))
QUEUE_LIMIT = int(argument("queue_limit"))
HEADERS = [
    ("Content-Type", "text/event-stream"),
    ("Cache-Control", "no-store"),
    ("X-Accel-Buffering", "no"),  # nginx would collect events until a buffer is full
    ("X-Content-Type-Options", "nosniff"),
]
# One line, without the blank one that ends an event: only a write that fails shows that the client has left
HEARTBEAT = ": ♥\n".encode()
NO_REDIS = b": waiting for Redis\n"
WHY = {
    "stalled": "you read too little for too long; your browser reconnects by itself and gets the rest",
    "gap": "this server missed something; your browser reconnects by itself and gets it",
    "lifetime": "time to ask Django again whether you still may",
}
# for the history only, and few: thousands of clients that reconnect at once share them
history = feed.connect(REDIS_URL, at_most=4)
hub = Hub(feed.connect(REDIS_URL), QUEUE_LIMIT)
# In the worker, which loads this by itself (lazy-apps). Without its reader it would be silent for ever: replace it
gevent.spawn(hub.run).link_exception(lambda _: os._exit(1))


def application(environ, start_response):
    if not environ.get("X_OFFLOAD"):
        start_response("403 Forbidden", [("Content-Type", "text/plain")])
        return [b"no user in X_OFFLOAD\n"]
    start_response("200 OK", HEADERS)
    return follow(unquote(environ["X_OFFLOAD"]), environ.get("HTTP_LAST_EVENT_ID", ""))


def follow(user, last_event_id):
    """The stream for `user`, after `last_event_id` if there is one, else from now on."""
    ends = time.monotonic() + feed.jitter(LIFETIME_S)
    while not hub.ready.wait(HEARTBEAT_S):
        yield NO_REDIS
    hello = {"retry_ms": retry_ms(), "for": user, "backend": NAME, "pid": os.getpid()}
    # First join the queue: from here on nothing is missed. Then replay the history, up to some moment after that. Then
    # send what is queued, without what was replayed already. In another order, events between the two would be lost.
    # >>> resume
    with hub.client() as client:
        last = client.start
        if last_event_id:
            last = yield from replay(last_event_id, hello, client.start)
        else:
            yield feed.event("hello", last, **hello)
        reason = yield from follow_live(client, last, ends)
    # <<<
    yield feed.event("bye", reason[1], why=reason[0], text=WHY[reason[0]])


def replay(last, hello, start):
    """Replay the history after `last`; return its end. A `reset`, and on from `start`, where `last` is not in it."""
    greeted = False
    while True:
        page = []
        if feed.position(last):
            page = yield from retry_until_available(feed.page_from, history, last)
        if not page:
            start = max(start, last if greeted else start, key=feed.position)
            yield feed.event("reset", start, text="you missed something, load the page again", **hello)
            return start
        if not greeted:
            greeted = True
            yield feed.event("hello", last, **hello)
        last = page[-1].id
        yield b"".join(entry.sse for entry in page[1:])
        if len(page) <= feed.PAGE:
            return last


def follow_live(client, last, ends):
    """Send live events; return why the stream ends, and the last id."""
    while time.monotonic() < ends:
        entries = client.take(HEARTBEAT_S)
        if client.ended:
            return client.ended, last
        new = [entry for entry in entries if entry.position > feed.position(last)]  # the others were replayed already
        last = new[-1].id if new else last
        yield b"".join(entry.sse for entry in new) or HEARTBEAT
    return "lifetime", last


def retry_until_available(ask, *what):
    """The result of ``ask(*what)``, as soon as Redis answers."""
    while True:
        try:
            return ask(*what)
        except feed.PASSING:
            yield NO_REDIS
            gevent.sleep(feed.jitter(0.35))


def retry_ms():
    """Milliseconds until this browser reconnects: at random, so that all do not reconnect at once after a restart."""
    return round(feed.jitter(RETRY_MS))
