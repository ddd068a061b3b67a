"""Clients of a feed's backends: they reconnect while it goes on, or lose the connection after any byte."""

import json
import re
from collections.abc import Collection, Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from offload_lab.clients.backend_request import BackendClient
from offload_lab.clients.sse import EventStreamParser, SseClient
from offload_lab.stages.stage import Stage

if TYPE_CHECKING:
    from redis import Redis

BACKENDS = {"a": "stream_a", "b": "stream_b"}  # Django's letter and its backend
PATIENCE_S = 5.0
REDIS_S = 30.0  # for its answer, on a busy machine
PAGE, PAST = 100, 150  # events: a page of the history that the app reads at once, and a history of two pages
CUT = 3  # events in a stream that is cut
FEW = 10  # so many fit into any client's queue
SMALL = "mind the gap"
BIG = "x" * 20_000  # a page of these is more than a socket takes, so the app waits in the middle of it
ENTRY_ID = re.compile(r"(\d+)-(\d+)", re.ASCII)
# as the step's publish() writes, without its token
PUBLISH = """
local number = redis.call('INCR', 'feed:number')
local id = redis.call('XADD', 'feed', '*', 'number', number, 'type', 'notice', 'data', ARGV[1])
return {id, number}
"""


@dataclass(frozen=True)
class Replayed:
    """A client that reconnected after the event `behind`: the numbers that it got of all that were `published`."""

    behind: str
    numbers: tuple[int, ...]
    published: int = PAST + 3

    @property
    def missing(self) -> int:
        return self.published - len(set(self.numbers))

    @property
    def twice(self) -> int:
        return len(self.numbers) - len(set(self.numbers))


@dataclass(frozen=True)
class Cut:
    """A stream of `published` events, cut at the worst byte: `had` of them arrived before, and the browser `named` the
    id after which it goes on. `answer` is the first event that it got then."""

    named: str
    had: int
    missing: int
    twice: int
    published: int = CUT
    answer: str = ""

    @property
    def summary(self) -> str:
        if not self.missing and not self.twice:
            return "no event missing and none twice"
        return (
            f"{self.missing} of {self.published} missing and {self.twice} twice: a browser that had {self.had} of"
            f" them names {self.named or 'no id'}"
        )


# --- reconnecting


@contextmanager
def store_of(stage: Stage) -> "Iterator[Redis]":
    import redis  # not everybody has it; without it the stage would not have started

    with redis.Redis.from_url(f"unix://{stage.run}/redis.sock", decode_responses=True, socket_timeout=REDIS_S) as store:
        yield store


def publish(store: "Redis", count: int = 1, text: str = SMALL) -> dict[str, int]:
    """Publish `count` notices; their ids and numbers."""
    with store.pipeline(transaction=False) as line:
        for _ in range(count):
            line.eval(PUBLISH, 0, json.dumps({"text": text}))
        return dict(line.execute())


def at(stage: Stage, letter: str, **variables: str) -> BackendClient:
    request = {"X_OFFLOAD": "ada", **variables}
    return BackendClient(stage.run / f"{BACKENDS[letter]}.sock", timeout_s=PATIENCE_S, **request)


def number_of(data: str) -> int:
    """The number of the event in the feed; 0 for a greeting, and for what is no event of the feed."""
    try:
        return int(json.loads(data)["number"])
    except (ValueError, KeyError, TypeError):
        return 0


def receive_until(client: SseClient, number: int) -> None:
    """Take events up to that one.

    Raises: OSError where it does not arrive.
    """
    while number_of(client.next().data) < number:
        pass


def reconnect(stage: Stage, store: "Redis") -> Replayed:
    """Reconnect to a history of two pages. An event is published while the app sends the first one, while it sends the
    second one, and afterwards; `other` was connected before, so what it has got, the app has read."""
    [behind] = publish(store)
    published: list[int] = []
    other, client = at(stage, "a"), at(stage, "a", HTTP_LAST_EVENT_ID=behind)
    with suppress(OSError), closing(client), other:
        other.next()
        for _ in range(PAST // FEW):
            published += publish_before(other, store, FEW, BIG)
        with client:
            client.next()
            published += publish_before(other, store)
            receive_until(client, published[PAGE])
            published += publish_before(other, store)
            receive_until(client, published[PAST])
            published += publish_before(other, store)
            receive_until(client, published[-1])
    return Replayed(behind, numbers_of(client, published))


def publish_before(other: SseClient, store: "Redis", count: int = 1, text: str = SMALL) -> list[int]:
    """Publish, and wait until `other` has got it."""
    published = list(publish(store, count, text).values())
    receive_until(other, published[-1])
    return published


def numbers_of(client: SseClient, published: Collection[int]) -> tuple[int, ...]:
    return tuple(number for event in client.events if (number := number_of(event.data)) in published)


# --- losing the connection


def worst_cut(stage: Stage, store: "Redis") -> Cut:
    """Get three events, and try a cut after each byte of the stream behind the greeting."""
    published: dict[str, int] = {}
    client = at(stage, "b")
    with suppress(OSError), client:
        client.next()
        published = publish(store, CUT)
        receive_until(client, max(published.values()))
    had = len(numbers_of(client, published.values()))
    if had < CUT:  # uncut, and not all there
        return Cut("", had, missing=CUT - had, twice=0)
    return max(cuts(bytes(client.body), published), key=how_bad)


def how_bad(cut: Cut) -> tuple[bool, bool, int]:
    """Of the bad cuts, those in the middle of the stream are the clearest."""
    wrong = cut.missing + cut.twice
    return wrong > 0, cut.had > 0, wrong


def cuts(body: bytes, published: Mapping[str, int]) -> Iterator[Cut]:
    for length in range(len(body) + 1):
        parser = EventStreamParser()
        if events := parser.feed(body[:length]):
            had = {number_of(event.data) for event in events} & set(published.values())
            follows = {number for id, number in published.items() if is_behind(id, parser.last_event_id)}
            missing = set(published.values()) - had - follows
            yield Cut(parser.last_event_id, len(had), len(missing), len(had & follows))


def is_behind(id: str, place: str) -> bool:
    """False where `place` is no entry's id."""
    return bool(match := ENTRY_ID.fullmatch(place)) and position(ENTRY_ID.fullmatch(id)) > position(match)


def position(match: re.Match[str] | None) -> list[int]:
    return [int(half) for half in match.groups()] if match else []


def with_answer(stage: Stage, cut: Cut) -> Cut:
    """Reconnect with the id that the browser names."""
    if not cut.named:
        return cut
    with suppress(OSError), at(stage, "b", HTTP_LAST_EVENT_ID=cut.named) as client:
        return replace(cut, answer=client.next().type)
    return cut
