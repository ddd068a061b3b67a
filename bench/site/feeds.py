"""The events. Ten feeds publish once a second, a tenth of a second apart; all streams may subscribe to "all".

Each event carries its due time on the clock that all processes of a machine share (CLOCK_MONOTONIC), so that a client
knows how late it is. It is encoded once, however many streams get it. Standard library only.
"""

import heapq
import json
import math
import time
from collections.abc import AsyncIterator, Iterator
from functools import lru_cache

FEEDS = tuple("0123456789")
EVERY_S = 1.0
ALL, ALL_EVERY_S = "all", 2.0
FILE = "large.bin"  # in the run folder
SLOW_S = 2  # the view that blocks
WELCOME = b": welcome\n\n"
STREAM = {"Content-Type": "text/event-stream", "Cache-Control": "no-store"}
TEXT = "the event that you are waiting for has left Django and is on its own thread"


def due_after(feed: str, moment: float) -> float:
    """When the next event of `feed` after `moment` is due, both in seconds of `time.monotonic`."""
    every_s, offset = (ALL_EVERY_S, 0.0) if feed == ALL else (EVERY_S, FEEDS.index(feed) / len(FEEDS))
    return (math.floor((moment - offset) / every_s + 1e-6) + 1) * every_s + offset


@lru_cache(maxsize=64)
def message(feed: str, due: float) -> str:
    return json.dumps({"due": round(due, 6), "feed": feed, "text": TEXT})


@lru_cache(maxsize=64)
def event(feed: str, due: float) -> bytes:
    return f"data: {message(feed, due)}\n\n".encode()


def turns() -> Iterator[tuple[str, float]]:
    """Each event of all feeds when it is due, for a publisher: the feed, and the due time."""
    queue = [(due_after(feed, time.monotonic()), feed) for feed in (*FEEDS, ALL)]
    heapq.heapify(queue)
    while True:
        due, feed = queue[0]
        time.sleep(max(0.0, due - time.monotonic()))
        yield feed, due
        heapq.heapreplace(queue, (due_after(feed, due), feed))


def stream(feed: str) -> Iterator[bytes]:
    """For a thread or a greenlet of its own. No event is skipped: a slow stream is late."""
    yield WELCOME
    due = time.monotonic()
    while True:
        due = due_after(feed, due)
        time.sleep(max(0.0, due - time.monotonic()))
        yield event(feed, due)


async def astream(feed: str) -> AsyncIterator[bytes]:
    """The same for asyncio."""
    import asyncio

    yield WELCOME
    due = time.monotonic()
    while True:
        due = due_after(feed, due)
        await asyncio.sleep(max(0.0, due - time.monotonic()))
        yield event(feed, due)
