"""A feed: a Redis Stream that publishers append to and readers follow.

The same code blocks in Django, where that is all right, and lets other greenlets run in gevent, where sockets do.

Redis makes each entry's id, larger than all before it. What a browser sends back as `Last-Event-ID` is that id: a place
in the stream.
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

HISTORY = 10_000  # entries kept, at least
TOKEN_S = 600  # how long a publisher may retry
PAGE = 100  # entries fetched at once
# What passes by itself: Redis is away, does not answer, or is still reading its file (to redis-py a ConnectionError)
PASSING = (redis.ConnectionError, redis.TimeoutError)
ENTRY_ID = re.compile(r"(\d{1,20})-(\d{1,20})", re.ASCII)

# Atomic. A publisher that got no answer cannot know whether it wrote, so it asks again under the same token.
PUBLISH = """
local written = redis.call('GET', KEYS[3])
if written then return written end
local number = redis.call('INCR', KEYS[2])
local id = redis.call('XADD', KEYS[1], 'MAXLEN', '~', ARGV[1], '*',
    'number', number, 'channel', ARGV[2], 'type', ARGV[3], 'data', ARGV[4])
redis.call('SET', KEYS[3], id, 'EX', ARGV[5])
return id
"""


def connect(url, at_most=None, timeout_s=5):
    """A client for `url`, with at most `at_most` connections: one more waits.

    It retries nothing by itself: redis-py's own retries would write twice where only the answer was lost.
    """
    options = {"decode_responses": True, "socket_timeout": timeout_s, "retry": Retry(NoBackoff(), 0)}
    if at_most is None:
        return redis.Redis.from_url(url, **options)
    pool = redis.BlockingConnectionPool.from_url(url, max_connections=at_most, timeout=None, **options)
    return redis.Redis(connection_pool=pool)


def jitter(value):
    """Half to one and a half times `value`: what many clients do, they do not do at the same moment."""
    return value * random.uniform(0.5, 1.5)  # noqa: S311 (no secret)


def position(id):
    """An entry's id as a pair that compares, None for anything else: a client may send or forge it."""
    match = ENTRY_ID.fullmatch(id)
    pair = tuple(int(half) for half in match.groups()) if match else ()
    return pair if pair and max(pair) < 2**64 else None


@dataclass(frozen=True)
class Entry:
    """One event. `channel` says who gets it; `number` counts the feed's entries without a gap; `data` is JSON."""

    id: str
    position: tuple[int, int]
    number: int
    channel: str
    type: str
    data: str

    @classmethod
    def parse(cls, id, fields):
        number = int(fields["number"])
        return cls(id, position(id), number, fields["channel"], fields["type"], fields["data"])


class Feed:
    """The stream called `name`, through the Redis client `redis`."""

    def __init__(self, redis, name):
        self._redis, self._name = redis, name

    def publish(self, channel, type, data, *, token=None, patience_s=5.0):
        """Append an entry and return its id; the same `token` again returns the first one's.

        Raises: redis.ConnectionError or redis.TimeoutError after `patience_s`; whether it was written is then unknown.
        """
        keys = self._name, f"{self._name}:number", f"{self._name}:token:{token or secrets.token_urlsafe()}"
        arguments = HISTORY, channel, type, json.dumps(data), TOKEN_S
        ends = time.monotonic() + patience_s
        while True:
            try:
                return self._redis.eval(PUBLISH, len(keys), *keys, *arguments)
            except PASSING:
                if time.monotonic() > ends:
                    raise
                time.sleep(0.1)

    def newest(self):
        """The last entry. An empty feed gets its first one: readers start from it."""
        while not (rows := self._redis.xrevrange(self._name, count=1)):
            self.publish("", "opened", {}, token="opened")  # noqa: S106 (no secret)
        return Entry.parse(*rows[0])

    def wait_for_more(self, after, wait_ms):
        """The entries behind the id `after`, as soon as there are any; none after `wait_ms`.

        `after` is always an id that we have, never "$": what was written between two calls would be lost.
        """
        answer = self._redis.xread({self._name: after}, count=PAGE, block=wait_ms)
        return [Entry.parse(*row) for _, rows in (answer or []) for row in rows]

    def page_from(self, last):
        """The entry `last` and up to PAGE behind it; none where `last` is not in the feed (any more).

        One command tells both: where `last` comes first, nothing between it and the others can be missing.
        """
        entries = [Entry.parse(*row) for row in self._redis.xrange(self._name, min=last, count=PAGE + 1)]
        return entries if entries and entries[0].id == last else []
