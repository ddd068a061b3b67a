"""Listeners of a feed behind the front: they come back while it goes on, or lose the connection after any byte."""

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

BACKENDS = {"a": "stream_a", "b": "stream_b"}  # Django's letter, and whom it means
PATIENCE_S = 5.0
REDIS_S = 30.0  # for its answer, on a busy machine
PAGE, PAST = 100, 150  # events: what the app reads at once of the past, and the past, which is therefore two pages
CUT = 3  # events in a stream that is cut
FEW = 10  # so many at once fit into any visitor's queue
SMALL = "mind the gap"
BIG = "x" * 20_000  # a page of these is more than a socket takes, so the app waits in the middle of it
ENTRY_ID = re.compile(r"(\d+)-(\d+)", re.ASCII)
# as the step's publish() writes, without its token
SAY = """
local number = redis.call('INCR', 'feed:number')
local id = redis.call('XADD', 'feed', '*', 'number', number, 'type', 'notice', 'data', ARGV[1])
return {id, number}
"""


@dataclass(frozen=True)
class Heard:
    """What somebody who came back `behind` an event was told of all that was `said`: the numbers that came."""

    behind: str
    numbers: tuple[int, ...]
    said: int = PAST + 3

    @property
    def missing(self) -> int:
        return self.said - len(set(self.numbers))

    @property
    def twice(self) -> int:
        return len(self.numbers) - len(set(self.numbers))


@dataclass(frozen=True)
class Cut:
    """A stream of `said` events that is cut where it hurts most: `had` of them came before, and the browser `named` the
    place from which it goes on. `answer` is the first event that it got then."""

    named: str
    had: int
    missing: int
    twice: int
    said: int = CUT
    answer: str = ""

    @property
    def words(self) -> str:
        if not self.missing and not self.twice:
            return "no event missing and none twice"
        return (
            f"{self.missing} of {self.said} missing and {self.twice} twice: a browser that had {self.had} of them names"
            f" {self.named or 'no place'}"
        )


# --- coming back


@contextmanager
def store_of(stage: Stage) -> "Iterator[Redis]":
    import redis  # not everybody has it; without it the stage would not have started

    with redis.Redis.from_url(f"unix://{stage.run}/redis.sock", decode_responses=True, socket_timeout=REDIS_S) as store:
        yield store


def say(store: "Redis", count: int = 1, text: str = SMALL) -> dict[str, int]:
    """Announce something `count` times; the events' ids and numbers."""
    with store.pipeline(transaction=False) as line:
        for _ in range(count):
            line.eval(SAY, 0, json.dumps({"text": text}))
        return dict(line.execute())


def at(stage: Stage, letter: str, **variables: str) -> BackendClient:
    request = {"X_OFFLOAD": "ada", **variables}
    return BackendClient(stage.run / f"{BACKENDS[letter]}.sock", timeout_s=PATIENCE_S, **request)


def number_of(data: str) -> int:
    """Which of the feed's events it is; 0 for a greeting, and for what is no event of the feed."""
    try:
        return int(json.loads(data)["number"])
    except (ValueError, KeyError, TypeError):
        return 0


def hear(visitor: SseClient, number: int) -> None:
    """Take events until that one. Raises OSError where it does not come."""
    while number_of(visitor.next().data) < number:
        pass


def come_back(stage: Stage, store: "Redis") -> Heard:
    """Come back to a past of two pages. Something is said while the app sends the first one, while it sends the second
    one, and afterwards; `other` was there before, so what comes to them the app has."""
    [behind] = say(store)
    said: list[int] = []
    other, visitor = at(stage, "a"), at(stage, "a", HTTP_LAST_EVENT_ID=behind)
    with suppress(OSError), closing(visitor), other:
        other.next()
        for _ in range(PAST // FEW):
            said += say_before(other, store, FEW, BIG)
        with visitor:
            visitor.next()
            said += say_before(other, store)
            hear(visitor, said[PAGE])
            said += say_before(other, store)
            hear(visitor, said[PAST])
            said += say_before(other, store)
            hear(visitor, said[-1])
    return Heard(behind, numbers_of(visitor, said))


def say_before(other: SseClient, store: "Redis", count: int = 1, text: str = SMALL) -> list[int]:
    """Say something, and wait until `other` has heard it."""
    said = list(say(store, count, text).values())
    hear(other, said[-1])
    return said


def numbers_of(visitor: SseClient, said: Collection[int]) -> tuple[int, ...]:
    return tuple(number for event in visitor.events if (number := number_of(event.data)) in said)


# --- losing the connection


def worst_cut(stage: Stage, store: "Redis") -> Cut:
    """Hear three events, and think of the stream as cut after each of its bytes behind the greeting."""
    said: dict[str, int] = {}
    visitor = at(stage, "b")
    with suppress(OSError), visitor:
        visitor.next()
        said = say(store, CUT)
        hear(visitor, max(said.values()))
    had = len(numbers_of(visitor, said.values()))
    if had < CUT:  # uncut, and not all there
        return Cut("", had, missing=CUT - had, twice=0)
    return max(cuts(visitor.body, said), key=how_bad)


def how_bad(cut: Cut) -> tuple[bool, bool, int]:
    """Of bad ones, those in the middle of the stream are the clearest."""
    wrong = cut.missing + cut.twice
    return wrong > 0, cut.had > 0, wrong


def cuts(body: bytes, said: Mapping[str, int]) -> Iterator[Cut]:
    for length in range(len(body) + 1):
        parser = EventStreamParser()
        if events := parser.feed(body[:length]):
            had = {number_of(event.data) for event in events} & set(said.values())
            comes = {number for id, number in said.items() if is_behind(id, parser.last_event_id)}
            missing = set(said.values()) - had - comes
            yield Cut(parser.last_event_id, len(had), len(missing), len(had & comes))


def is_behind(id: str, place: str) -> bool:
    """Nothing is behind what is no place."""
    return bool(match := ENTRY_ID.fullmatch(place)) and position(ENTRY_ID.fullmatch(id)) > position(match)


def position(match: re.Match[str] | None) -> list[int]:
    return [int(half) for half in match.groups()] if match else []


def with_answer(stage: Stage, cut: Cut) -> Cut:
    """Come back with what the browser names, and see."""
    if not cut.named:
        return cut
    with suppress(OSError), at(stage, "b", HTTP_LAST_EVENT_ID=cut.named) as visitor:
        return replace(cut, answer=visitor.next().type)
    return cut
