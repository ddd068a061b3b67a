"""The gevent app behind stream.ini, one of several: the past from Redis, the present from the hub, without a seam.

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
# One line, without the blank one that ends an event: only a write that fails tells that the visitor has left
HEARTBEAT = ": ♥\n".encode()
NO_REDIS = b": waiting for Redis\n"
WHY = {
    "stalled": "you took too little for too long; your browser comes back by itself and gets the rest",
    "gap": "this server missed something; your browser comes back by itself and gets it",
    "lifetime": "time to ask Django again whether you still may",
}
# for the past only, and few: thousands who come back at once share them
history = feed.connect(REDIS_URL, at_most=4)
hub = Hub(feed.connect(REDIS_URL), QUEUE_LIMIT)
# In the worker, which loads this by itself (lazy-apps). Without its reader it would be silent for ever: a new one then
gevent.spawn(hub.run).link_exception(lambda _: os._exit(1))


def application(environ, start_response):
    if not environ.get("X_OFFLOAD"):
        start_response("403 Forbidden", [("Content-Type", "text/plain")])
        return [b"nobody said who you are\n"]
    start_response("200 OK", HEADERS)
    return follow(unquote(environ["X_OFFLOAD"]), environ.get("HTTP_LAST_EVENT_ID", ""))


def follow(who, last_event_id):
    """The stream for `who`, behind `last_event_id` if there is one, else from now on."""
    ends = time.monotonic() + feed.jitter(LIFETIME_S)
    while not hub.ready.wait(HEARTBEAT_S):
        yield NO_REDIS
    hello = {"retry_ms": retry_ms(), "for": who, "backend": NAME, "pid": os.getpid()}
    # First the queue: from here on nothing is missed. Then the past, up to some moment after that. Then what is in the
    # queue, without what the past had already. In another order, whatever comes between the two would be lost.
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
    """What came behind `last`; returns where it ends. A `reset`, and on from `start`, where there is no `last`."""
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
    """What comes from now on; returns why it ends, and where."""
    while time.monotonic() < ends:
        entries = client.take(HEARTBEAT_S)
        if client.ended:
            return client.ended, last
        new = [entry for entry in entries if entry.position > feed.position(last)]  # the past had the others already
        last = new[-1].id if new else last
        yield b"".join(entry.sse for entry in new) or HEARTBEAT
    return "lifetime", last


def retry_until_available(ask, *what):
    """The answer of ``ask(*what)``, as soon as there is a Redis to give it."""
    while True:
        try:
            return ask(*what)
        except feed.PASSING:
            yield NO_REDIS
            gevent.sleep(feed.jitter(0.35))


def retry_ms():
    """How long this browser is to wait before it comes back: each another time, so that a restart is no storm."""
    return round(feed.jitter(RETRY_MS))
