"""The proof: 500 clients who come back as browsers do, while one part after the other is torn away under them."""

import os
import signal
from contextlib import suppress

import pytest

from offload_lab.clients.event_source import EventSourcePool
from offload_lab.process.polling import wait_for
from offload_lab.timeouts import scaled

COUNT = 500
HISTORY = 10_000  # more than all that is said here
TIMEOUT_S = 40


@pytest.fixture(scope="module")
def crowd(make_stage, relay):
    """500 clients behind a network that can be cut. Trains leave five times a second."""
    often = {"tick_s": 0.2, "retry_ms": 400, "heartbeat_s": 1}
    never = {"history": HISTORY, "queue_limit": 2000, "lifetime_s": 36_000}  # reached
    with make_stage("stream", **often, **never) as stage:
        with (
            relay(stage.port) as stage.network,
            EventSourcePool(stage.network.port, COUNT, cookie=stage.ada.cookie) as stage.clients,
        ):
            stage.clients.wait_until_all(lambda client: len(client.events) >= 3, TIMEOUT_S, "a hello and two trains")
            stage.first_shares = [stage.busy(name) for name in ("stream_a", "stream_b")]  # before anything is broken
            yield stage


@pytest.fixture(autouse=True)
def no_event_is_lost(crowd, feed):
    """Around a test that breaks something: afterwards every client has every event, once, in order."""
    before = [client.connections for client in crowd.clients.all]
    crowd.reconnected = lambda: sum(client.connections > n for client, n in zip(crowd.clients.all, before, strict=True))
    yield
    last = feed.position(
        feed.publish(crowd.redis, "notice", history=HISTORY, patience_s=scaled(TIMEOUT_S), text="all clear")
    )
    have_it = lambda client: feed.position(client.last_event_id) >= last  # noqa: E731
    crowd.clients.wait_until_all(have_it, TIMEOUT_S, f"everything up to {last}")
    all_events = [
        list(client.events) for client in crowd.clients.all
    ]  # before the question to Redis: more come meanwhile
    written = [entry_id for entry_id, _ in crowd.redis.xrange(feed.FEED)]
    place = {entry_id: number for number, entry_id in enumerate(written)}
    for hello, *events in all_events:
        assert hello.type == "hello"
        assert {event.type for event in events} <= {"hello", "train", "notice"}, "a client was reset or dropped"
        seen = [event.last_event_id for event in events if event.type != "hello"]
        first = place[hello.last_event_id] + 1
        assert seen == written[first : first + len(seen)]


@pytest.fixture
def talk(crowd, feed):
    """Announcements, as many a second as Redis takes: those who come back meanwhile come into the middle of it."""

    def talk(count=25):
        for _ in range(count):
            feed.publish(crowd.redis, "notice", history=HISTORY, patience_s=scaled(TIMEOUT_S), text="all change")

    return talk


def test_all_streams_are_open_and_both_backends_have_a_share(crowd):
    assert crowd.clients.open == COUNT
    assert sum(crowd.first_shares) == COUNT
    assert min(crowd.first_shares) > COUNT / 5


@pytest.mark.parametrize("whose", ["a backend's", "Django's"])
def test_kill_9_of_a_worker_loses_no_event(crowd, talk, whose):
    name = busier(crowd) if whose == "a backend's" else "stream"
    killed = crowd.kill_worker(name)
    talk()
    crowd.other_worker(name, killed)
    wait_for(lambda: crowd.reconnected() > COUNT / 5, TIMEOUT_S, "its clients coming back")


@pytest.mark.parametrize("whose", ["a backend's", "Django's"])
def test_a_graceful_reload_loses_no_event(crowd, talk, whose):
    crowd.reload(busier(crowd) if whose == "a backend's" else "stream")
    talk()
    wait_for(lambda: crowd.reconnected() > COUNT / 5, TIMEOUT_S, "its clients coming back")


def test_kill_9_of_a_backend_that_stays_down_loses_no_event(crowd, talk):
    killed, other = ("stream_a", "stream_b") if busier(crowd) == "stream_a" else ("stream_b", "stream_a")
    for pid in crowd.process(killed).pids():
        with suppress(ProcessLookupError):  # a worker ends with its master
            os.kill(pid, signal.SIGKILL)
    talk()
    wait_for(lambda: crowd.clients.open == crowd.busy(other) == COUNT, TIMEOUT_S, "all clients at the other backend")
    crowd.restart(killed)


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_redis_restarted_with_its_file_loses_no_event(crowd, talk, how):
    before = crowd.redis_pid()
    talk()
    os.kill(before, how)
    wait_for(lambda: crowd.redis_pid() != before, TIMEOUT_S, "another Redis")
    talk()
    assert crowd.reconnected() == 0, "the streams stay open meanwhile"


def test_a_stopped_backend_loses_no_event(crowd, talk):
    pid = crowd.kill_worker(busier(crowd), signal.SIGSTOP)
    try:
        talk()
    finally:
        os.kill(pid, signal.SIGCONT)
    assert crowd.reconnected() == 0, "no client lost the connection"


def test_a_network_that_is_cut_for_15_events_loses_none(crowd, talk, feed):
    crowd.network.cut()
    trains(crowd, feed, 15)  # 3 seconds
    crowd.network.restore()
    talk()
    wait_for(lambda: crowd.reconnected() >= COUNT / 2, TIMEOUT_S, "half of them coming back")


def test_all_failures_at_once_lose_no_event(crowd, talk):
    for pid in [*(crowd.worker(name) for name in ("stream_a", "stream_b", "stream")), crowd.redis_pid()]:
        os.kill(pid, signal.SIGKILL)
    talk()
    wait_for(lambda: crowd.reconnected() == COUNT, TIMEOUT_S, "all clients reconnected")


def busier(crowd):
    """The backend that has more of the clients."""
    return max("stream_a", "stream_b", key=crowd.busy)


def trains(crowd, feed, count):
    """Wait until so many more have left."""
    until = crowd.redis.xlen(feed.FEED) + count
    wait_for(lambda: crowd.redis.xlen(feed.FEED) >= until, TIMEOUT_S, f"{count} more trains")
