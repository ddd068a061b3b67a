"""The gevent backend redis.ini and cache.ini: takes the payload for a key, once, and streams it."""

import json

import feed
import gevent
import uwsgi
from claim_check import KEY

from offload_lab.stages.site.arguments import argument

STORE, ADDRESS, TICK_S = argument("store"), argument("address"), float(argument("tick_s"))
HEADERS = [
    ("Content-Type", "text/event-stream"),
    ("Cache-Control", "no-store"),
    ("X-Accel-Buffering", "no"),  # nginx would collect events until a buffer is full
    ("X-Content-Type-Options", "nosniff"),
]
# The status tells a browser not to reconnect, the event tells a person why. One response for all three cases: more
# would help a client that guesses keys
REFUSAL = b"event: refused\ndata: this key was used before, has expired, or never was\n\n"
redis = feed.connect(ADDRESS, at_most=8) if STORE == "redis" else None


def take_from_redis(key):
    """Read and deleted in one step: of two claims at once, one gets it."""
    # >>> take
    return redis.getdel(f"claim:{key}")
    # <<<


def take_from_cache(key):
    """uWSGI has no such command. But only one of two claims can delete it, and that one gets it."""
    payload = uwsgi.cache_get(key, ADDRESS)
    return payload if payload and uwsgi.cache_del(key, ADDRESS) else None


take = {"redis": take_from_redis, "cache": take_from_cache}[STORE]


def application(environ, start_response):
    key = environ.get("X_CLAIM", "")
    try:
        payload = take(key) if KEY.fullmatch(key) else None
    except feed.PASSING:
        start_response("200 OK", HEADERS)  # an empty stream: the browser reconnects, and gets a new key from Django
        return [f"retry: {feed.jitter(2000):.0f}\n: the store does not answer\n".encode()]
    if payload is None:
        start_response("410 Gone", HEADERS)
        return [REFUSAL]
    start_response("200 OK", HEADERS)
    return stream(payload)


def stream(payload):
    contents = json.loads(payload)
    rows = contents.pop("departures")
    yield event("payload", **contents, characters=len(payload), departures=len(rows))
    for row in rows:
        gevent.sleep(TICK_S)
        yield event("departure", **row)


def event(type, **data):
    """No id: a client that reconnects gets a new payload, from its beginning."""
    return f"event: {type}\ndata: {json.dumps(data)}\n\n".encode()
