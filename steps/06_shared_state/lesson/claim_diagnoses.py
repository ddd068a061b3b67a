"""A client claims a payload that is too large for a request's variables: does it get it, and only once?"""

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
from offload_lab.inspect import Snapshot, take_snapshot
from offload_lab.process.polling import wait_for
from offload_lab.stages.stage import Stage
from offload_lab.uwsgi.logs import last_error

if TYPE_CHECKING:
    from redis import Redis

PATIENCE_S = 5.0
REDIS_S = 30.0  # for its answer, on a busy machine
CACHE = "payloads"
AT_ONCE = 8  # as many as the backend has connections to Redis
SMALL = '{"for": "ada", "departures": []}'
PACKET_LIMIT = 64 * 1024  # uWSGI's: all variables of a request together


@dataclass(frozen=True)
class Fetched:
    """What the client got: `status` is 0 without a response, `event` is empty where the stream had none, and then
    `comment` is what it had instead."""

    status: int = 0
    event: str = ""
    comment: str = ""


@dataclass(frozen=True)
class Seen:
    """`store` is "redis" or "cache", `left` the number of payloads in it after the response. `caches` are rows of
    uWSGI's stats. Of AT_ONCE clients that then claimed with one key, `had` got the payload, and `again` is whether a
    later one did. `raised` is the backend's last error."""

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
        """Django could not store the payload, and told the client to reconnect later."""
        return self.fetched.status == 200 and not self.fetched.event


def observe(stage: Stage) -> Seen:
    """Subscribe as ada; then, where Redis is the store, claim with one key several times."""
    ada = Session(stage.port)
    ada.log_in()
    fetched, snapshot = Fetched(), take_snapshot(stage.step, stage.variant, stage.run)
    with suppress(OSError), SseClient(stage.port, stage.step.path, cookie=ada.cookie, timeout_s=PATIENCE_S) as client:
        fetched = fetch(client)
        snapshot = take_snapshot(stage.step, stage.variant, stage.run)
    if stage.variant.name == "cache":
        caches = {row["name"]: row for row in stage.front.stats().get("caches") or ()}
        return Seen(snapshot, fetched, "cache", caches.get(CACHE, {}).get("items", 0), caches)
    with store_of(stage) as store:
        left = len(list(store.scan_iter("claim:*")))
        had, again = with_one_key(stage, store)
    raised = last_error(stage.process("redis_claims").log_tail(60))
    return Seen(snapshot, fetched, "redis", left, had=had, again=again, raised=raised)


def fetch(client: SseClient) -> Fetched:
    """The first event, or the comment before the end.

    Raises: OSError without either.
    """
    try:
        event = client.next().type
    except ConnectionError:
        event = ""
    return Fetched(client.head.status, event, " ".join(client.parser.comments))


@contextmanager
def store_of(stage: Stage) -> "Iterator[Redis]":
    import redis  # not everybody has it; without it the stage would not have started

    with redis.Redis.from_url(f"unix://{stage.run}/redis.sock", decode_responses=True, socket_timeout=REDIS_S) as store:
        yield store


def with_one_key(stage: Stage, store: "Redis") -> tuple[int, bool]:
    """How many of AT_ONCE clients get the payload of one key, and whether a later one gets it as well.

    Redis is stopped until all of them have asked, so that the result does not depend on timing.
    """
    invented, key = secrets.token_urlsafe(32), secrets.token_urlsafe(32)
    claim_at_once(stage, store, invented)  # now the backend has all its connections to Redis
    store.set(f"claim:{key}", SMALL, ex=60)
    had = claim_at_once(stage, store, key).count(200)
    return had, status(stage, key) == 200


def claim_at_once(stage: Stage, store: "Redis", key: str) -> list[int]:
    """The status for each of AT_ONCE clients."""
    redis_pid = store.info("server")["process_id"]
    with ThreadPoolExecutor(AT_ONCE) as clients:
        os.kill(redis_pid, signal.SIGSTOP)
        try:
            asked = [clients.submit(status, stage, key) for _ in range(AT_ONCE)]
            with suppress(TimeoutError):
                wait_for(lambda: requests_in_backend(stage) == AT_ONCE, PATIENCE_S, "all requests in the backend")
        finally:
            os.kill(redis_pid, signal.SIGCONT)
        return [answer.result() for answer in asked]


def requests_in_backend(stage: Stage) -> int:
    [worker] = stage.process("redis_claims").stats()["workers"]
    return sum(core["in_request"] for core in worker["cores"])


def status(stage: Stage, key: str) -> int:
    """The backend's status for this key; 0 without a response."""
    try:
        with BackendClient(stage.run / "redis_claims.sock", timeout_s=PATIENCE_S, X_CLAIM=key) as client:
            return client.head.status
    except OSError:
        return 0


# --- rules: a sentence where they match


def no_such_cache(seen: Seen) -> str | None:
    if seen.store != "cache" or not seen.put_off or CACHE in seen.caches:
        return None
    there = f"its caches are called {', '.join(seen.caches)}" if seen.caches else "it has no cache at all"
    return (
        f"Django in worker {seen.snapshot.front.workers[0].pid} stored the payload in a cache called {CACHE}, and uWSGI"
        f" returned None, without a reason: {there}. So the client was told to reconnect later, and will be every time."
    )


def block_too_small(seen: Seen) -> str | None:
    cache = seen.caches.get(CACHE)
    if not seen.put_off or not cache or cache["full"] or cache["blocksize"] > PACKET_LIMIT:
        return None
    return (
        f"the cache {CACHE} is there and holds {seen.left} payloads: its blocks have {cache['blocksize']:,} bytes,"
        " and this payload is larger. uWSGI returns None then, as it does when a cache is full, and the client was"
        " told to reconnect later."
    )


def no_room(seen: Seen) -> str | None:
    cache = seen.caches.get(CACHE)
    if not seen.put_off or not cache or not cache["full"]:
        return None
    return (
        f"the cache {CACHE} has room for {cache['max_items']}, and one of these places is uWSGI's own. It holds"
        f" {seen.left}, and was full when Django stored the payload: none ever gets in."
    )


def not_found_by_backend(seen: Seen) -> str | None:
    if seen.fetched.status != 410 or not seen.left:
        return None
    where = "Redis" if seen.store == "redis" else f"the cache {CACHE}"
    return (
        f"Django stored the payload in {where}, and it is still there ({seen.left} in all). The backend received its"
        " key, found nothing, and answered 410. It looked in another place, or could not look at all."
    )


def deleted_unclaimed(seen: Seen) -> str | None:
    if seen.fetched.status != 410 or seen.left:
        return None
    return "the payload is gone from Redis, and the backend answered 410: it was deleted, and no client got it."


def claimed_several_times(seen: Seen) -> str | None:
    if seen.had < 2 or seen.again:
        return None
    return (
        f"of {AT_ONCE} clients that claimed at once with one key, {seen.had} got the payload; a later one got 410."
        " Between reading and deleting the backend waits for Redis, and in gevent it serves the next request"
        " meanwhile."
    )


def claimed_again(seen: Seen) -> str | None:
    if not seen.again:
        return None
    return (
        f"of {AT_ONCE} clients that claimed at once with one key, {seen.had} got the payload, and so did a later one:"
        " it is still in Redis. A key that is read in a log gives access to the payload as well."
    )


def backend_raises(seen: Seen) -> str | None:
    if seen.fetched.status or not seen.raised:
        return None
    return f"the backend received the key, and ended with: {seen.raised}. The client got an empty reply."


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
