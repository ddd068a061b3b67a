"""What each task of this step must do, for any answer: these tests also run against a learner's folder.

The visits are those of the diagnoses, so that a learner is told of the very thing that the test saw.
"""

from contextlib import suppress

from offload_lab.exercises.expectation import expect

from ..lesson import claim_diagnoses as claims
from ..lesson import feed_diagnoses as feed
from ..lesson import observe as listening


def test_task_cache(started):
    stage = started("cache", tick_s=0.05)
    got = claims.Fetched()
    with suppress(OSError), stage.subscribe(timeout_s=claims.PATIENCE_S) as ada:
        got = claims.fetch(ada)
    content = f"event: {got.event}" if got.event else f"no event, and the comment: {got.comment or 'none'}"
    expect("GET /subscribe, as ada", f"{got.status or 'no status'}, {content}", "200, event: payload")


def test_task_letters(quiet):
    for letter, backend in listening.BACKENDS.items():
        with feed.only(quiet, letter):
            greeted = feed.greeted_by(quiet, quiet.ada.cookie)
        called = f"GET /subscribe while only {backend} is there, so that Django chooses {letter}"
        expect(called, f"a greeting from {greeted}" if greeted else "an empty reply", f"a greeting from {backend}")


def test_task_take(started):
    stage = started("redis", tick_s=0.05)
    had, again = claims.with_one_key(stage, stage.redis)
    called = f"claims with one key: {claims.AT_ONCE} clients at once, and a later one"
    expect(
        called,
        f"{had} with the payload, then {'one more' if again else 'a refusal'}",
        "1 with the payload, then a refusal",
    )


def test_task_place(quiet):
    cut = listening.worst_cut(quiet, quiet.redis)
    called = "GET /subscribe, a stream of three events, and lost the connection after each of its bytes"
    expect(called, cut.summary, "no event missing and none twice")


def test_task_resume(quiet):
    replayed = listening.reconnect(quiet, quiet.redis)
    called = f"GET /subscribe with Last-Event-ID: {replayed.behind}, while the feed goes on"
    arrived = f"{replayed.published - replayed.missing} of {replayed.published} events, {replayed.twice} twice"
    expect(called, arrived, f"{replayed.published} of {replayed.published} events, 0 twice")
