"""The feed: a Redis Stream that publishers append to and readers follow.

The same code blocks in Django, where that is all right, and switches greenlets in gevent, whose sockets are patched.

Every entry's id is made by Redis, larger than all before it. It is also the SSE `id`, so what a browser sends back as
`Last-Event-ID` is a place in the stream.
"""

import json
import random
import re
import secrets
import time
from dataclasses import dataclass

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

FEED = "feed"
HISTORY = 1000  # entries kept, at least
TOKEN_S = 600  # how long a publisher may retry
PAGE = 100  # entries fetched at once
# Temporary: Redis is away, does not answer, or is still reading its file (to redis-py a ConnectionError)
PASSING = (redis.ConnectionError, redis.TimeoutError)
ENTRY_ID = re.compile(r"(\d{1,20})-(\d{1,20})", re.ASCII)

# One step for Redis, whole in its file or not at all. A publisher that got no answer cannot know whether it wrote, so
# it asks again under the same token, and what is there already is not written twice.
PUBLISH = """
local written = redis.call('GET', KEYS[3])
if written then return written end
local number = redis.call('INCR', KEYS[2])
local id = redis.call('XADD', KEYS[1], 'MAXLEN', '~', ARGV[1], '*', 'number', number, 'type', ARGV[2], 'data', ARGV[3])
redis.call('SET', KEYS[3], id, 'EX', ARGV[4])
return id
"""


def connect(url, at_most=None, timeout_s=5):
    """A client for ``unix:///path`` or ``redis://host``, with `at_most` so many connections: one more waits.

    It never retries by itself: redis-py's own retries would write a plain XADD twice if only its answer was lost.
    """
    options = {"decode_responses": True, "socket_timeout": timeout_s, "retry": Retry(NoBackoff(), 0)}
    if at_most is None:
        return redis.Redis.from_url(url, **options)
    pool = redis.BlockingConnectionPool.from_url(url, max_connections=at_most, timeout=None, **options)
    return redis.Redis(connection_pool=pool)


def publish(client, type, *, token=None, patience_s=5.0, history=HISTORY, **details):
    """Append an event and return its id; the same `token` again returns the first one's. Tries for `patience_s`.

    Raises: redis.ConnectionError or redis.TimeoutError then; whether the event was written is not known.
    """
    keys = FEED, "feed:number", f"feed:token:{token or secrets.token_urlsafe()}"
    ends = time.monotonic() + patience_s
    while True:
        try:
            return client.eval(PUBLISH, len(keys), *keys, history, type, json.dumps(details), TOKEN_S)
        except PASSING:
            if time.monotonic() > ends:
                raise
            time.sleep(0.1)


def position(text):
    """An entry's id as a pair that can be compared, None for anything else: a client may forge it."""
    match = ENTRY_ID.fullmatch(text)
    pair = tuple(int(half) for half in match.groups()) if match else ()
    return pair if pair and max(pair) < 2**64 else None


@dataclass(frozen=True)
class Entry:
    """One event. `number` counts the feed's events without a gap; `sse` is what goes to the browser, made only once."""

    id: str
    position: tuple[int, int]
    number: int
    sse: bytes

    @classmethod
    def parse(cls, id, fields):
        number = int(fields["number"])
        sse = event(fields["type"], id, number=number, **json.loads(fields["data"]))
        return cls(id, position(id), number, sse)


def event(type, id, *, retry_ms=None, **data):
    """One server-sent event. The id is in each, and in the same block as the data.

    In a block of its own, before the data, it would be believed even when the connection is cut in between, and the
    event would be lost. And an event without any id may count as "no id" after a reconnect: the HTML standard's parser
    forgets, at the start of each stream, which id came last.
    """
    retry = f"retry: {retry_ms}\n" if retry_ms else ""
    # >>> place
    return f"{retry}id: {id}\nevent: {type}\ndata: {json.dumps(data)}\n\n".encode()
    # <<<


def jitter(about):
    """Half to one and a half times `about`, at random: so that many clients do not act at the same moment."""
    return about * random.uniform(0.5, 1.5)  # noqa: S311 (no secret)


def newest(client):
    """The last entry. An empty feed gets its first one: it is the place from which the first readers start."""
    while not (rows := client.xrevrange(FEED, count=1)):
        publish(client, "notice", token="opening", text="the feed is open")  # noqa: S106 (no secret)
    return Entry.parse(*rows[0])


def wait_for_more(client, after, wait_ms):
    """The entries after the id `after`, as soon as there are any; none after `wait_ms`.

    `after` is always an id that we have, never "$", which means "from now on": an entry that is added between two
    calls would be lost.
    """
    answer = client.xread({FEED: after}, count=PAGE, block=wait_ms)
    return [Entry.parse(*row) for _, rows in (answer or []) for row in rows]


def page_from(client, last):
    """The entry `last` itself and up to PAGE after it, or none where `last` is no longer, or never was, in the feed.

    One command answers both: where `last` is the first entry of the page, nothing after it can be missing.
    """
    entries = [Entry.parse(*row) for row in client.xrange(FEED, min=last, count=PAGE + 1)]
    return entries if entries and entries[0].id == last else []
