"""A visitor fetches a payload that is too large for a request's variables: does it reach the desk, and only once?"""

import os
import secrets
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from offload_lab.clients.backend_request import BackendClient
from offload_lab.clients.session import Session
from offload_lab.clients.sse import SseClient
from offload_lab.exercises.logs import last_error
from offload_lab.inspect import Snapshot, take_snapshot
from offload_lab.process.polling import wait_for
from offload_lab.stages.stage import Stage

if TYPE_CHECKING:
    from redis import Redis

PATIENCE_S = 5.0
REDIS_S = 30.0  # for its answer, on a busy machine
CACHE = "payloads"
AT_ONCE = 8  # so many connections to Redis the desk has at most
SMALL = '{"for": "ada", "departures": []}'
PACKET_LIMIT = 64 * 1024  # uWSGI's: all variables of a request together


@dataclass(frozen=True)
class Fetched:
    """What the visitor got: `status` is 0 where no answer came, `event` is empty where the stream had none, and then
    `comment` is what it said instead."""

    status: int = 0
    event: str = ""
    comment: str = ""


@dataclass(frozen=True)
class Seen:
    """`store` is "redis" or "cache", `left` the number of payloads in it when the visitor had got an answer. `caches`
    are rows of uWSGI's stats. Of AT_ONCE who then came with one key, `had` got its payload, and `again` says that it
    was there for one more. `raised` is the desk's last error."""

    snapshot: Snapshot
    fetched: Fetched
    store: str
    left: int
    caches: dict[str, dict[str, Any]] = field(default_factory=dict)
    had: int = 1
    again: bool = False
    raised: str = ""

    @property
    def put_off(self) -> bool:
        """Django could not leave the payload in the store, and asked the visitor to come again."""
        return self.fetched.status == 200 and not self.fetched.event


def observe(stage: Stage) -> Seen:
    """Subscribe as ada; then, where Redis is the store, come with one key again and again."""
    ada = Session(stage.port)
    ada.log_in()
    fetched, snapshot = Fetched(), take_snapshot(stage.step, stage.variant, stage.run)
    with suppress(OSError), SseClient(stage.port, stage.step.path, cookie=ada.cookie, timeout_s=PATIENCE_S) as visitor:
        fetched = fetch(visitor)
        snapshot = take_snapshot(stage.step, stage.variant, stage.run)
    if stage.variant.name == "cache":
        caches = {row["name"]: row for row in stage.front.stats().get("caches") or ()}
        return Seen(snapshot, fetched, "cache", caches.get(CACHE, {}).get("items", 0), caches)
    with store_of(stage) as store:
        left = len(list(store.scan_iter("claim:*")))
        had, again = with_one_key(stage, store)
    raised = last_error(stage.process("redis_claims").log_tail(60))
    return Seen(snapshot, fetched, "redis", left, had=had, again=again, raised=raised)


def fetch(visitor: SseClient) -> Fetched:
    """The first event, or the comment before the end. Raises OSError where neither comes."""
    try:
        event = visitor.next().type
    except ConnectionError:
        event = ""
    return Fetched(visitor.head.status, event, " ".join(visitor.parser.comments))


@contextmanager
def store_of(stage: Stage) -> "Iterator[Redis]":
    import redis  # not everybody has it; without it the stage would not have started

    with redis.Redis.from_url(f"unix://{stage.run}/redis.sock", decode_responses=True, socket_timeout=REDIS_S) as store:
        yield store


def with_one_key(stage: Stage, store: "Redis") -> tuple[int, bool]:
    """How many of AT_ONCE visitors get the payload of one key, and whether one who comes later gets it as well.

    Redis stands still until all of them have asked, so that it is no matter of luck.
    """
    invented, key = secrets.token_urlsafe(32), secrets.token_urlsafe(32)
    claim_at_once(stage, store, invented)  # now the desk has all the connections that it needs
    store.set(f"claim:{key}", SMALL, ex=60)
    had = claim_at_once(stage, store, key).count(200)
    return had, status(stage, key) == 200


def claim_at_once(stage: Stage, store: "Redis", key: str) -> list[int]:
    """The statuses that AT_ONCE visitors get."""
    redis_pid = store.info("server")["process_id"]
    with ThreadPoolExecutor(AT_ONCE) as visitors:
        os.kill(redis_pid, signal.SIGSTOP)
        try:
            asked = [visitors.submit(status, stage, key) for _ in range(AT_ONCE)]
            with suppress(TimeoutError):
                wait_for(lambda: requests_in_backend(stage) == AT_ONCE, PATIENCE_S, "all of them at the desk")
        finally:
            os.kill(redis_pid, signal.SIGCONT)
        return [one.result() for one in asked]


def requests_in_backend(stage: Stage) -> int:
    [worker] = stage.process("redis_claims").stats()["workers"]
    return sum(core["in_request"] for core in worker["cores"])


def status(stage: Stage, key: str) -> int:
    """What the desk says to somebody with this key; 0 where it says nothing."""
    try:
        with BackendClient(stage.run / "redis_claims.sock", timeout_s=PATIENCE_S, X_PARCEL=key) as visitor:
            return visitor.head.status
    except OSError:
        return 0


# --- rules: words where they match


def no_such_cache(seen: Seen) -> str | None:
    if seen.store != "cache" or not seen.put_off or CACHE in seen.caches:
        return None
    there = f"its caches are called {', '.join(seen.caches)}" if seen.caches else "it has no cache at all"
    return (
        f"Django in worker {seen.snapshot.front.workers[0].pid} put the payload into a cache called {CACHE}, and uWSGI"
        f" said None and no reason: {there}. So the visitor was asked to come again, and will be every time."
    )


def block_too_small(seen: Seen) -> str | None:
    cache = seen.caches.get(CACHE)
    if not seen.put_off or not cache or cache["full"] or cache["blocksize"] > PACKET_LIMIT:
        return None
    return (
        f"the cache {CACHE} is there and holds {seen.left} payloads: its blocks have {cache['blocksize']:,} bytes, and"
        " this payload is larger. uWSGI says None then, as it does when a cache is full, and the visitor was asked to"
        " come again."
    )


def no_room(seen: Seen) -> str | None:
    cache = seen.caches.get(CACHE)
    if not seen.put_off or not cache or not cache["full"]:
        return None
    return (
        f"the cache {CACHE} has room for {cache['max_items']}, and one of these places is uWSGI's own. It holds"
        f" {seen.left}, and was full when Django came with the payload: none ever gets in."
    )


def not_found_by_backend(seen: Seen) -> str | None:
    if seen.fetched.status != 410 or not seen.left:
        return None
    where = "Redis" if seen.store == "redis" else f"the cache {CACHE}"
    return (
        f"Django left the payload in {where}, and it still lies there ({seen.left} in all). The desk was given its key,"
        " found nothing, and told the visitor so: 410. It looked somewhere else, or could not look at all."
    )


def deleted_unclaimed(seen: Seen) -> str | None:
    if seen.fetched.status != 410 or seen.left:
        return None
    return "the payload is gone from Redis, and the desk told the visitor 410: it was deleted, and nobody had it."


def claimed_several_times(seen: Seen) -> str | None:
    if seen.had < 2 or seen.again:
        return None
    return (
        f"of {AT_ONCE} who came at once with one key, {seen.had} had the payload; whoever came later was told 410."
        " Between reading and deleting the desk waits for Redis, and in gevent that is where it serves the next one."
    )


def claimed_again(seen: Seen) -> str | None:
    if not seen.again:
        return None
    return (
        f"of {AT_ONCE} who came at once with one key, {seen.had} had the payload, and so had a later one: it"
        " still lies in Redis. Whoever reads the key in a log has the payload as well."
    )


def backend_raises(seen: Seen) -> str | None:
    if seen.fetched.status or not seen.raised:
        return None
    return f"the desk was given the key, and ended with: {seen.raised}. The visitor got an empty reply."


RULES = (
    no_such_cache,
    block_too_small,
    no_room,
    not_found_by_backend,
    deleted_unclaimed,
    claimed_several_times,
    claimed_again,
    backend_raises,
)
