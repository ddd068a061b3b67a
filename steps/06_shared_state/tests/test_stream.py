"""One client of the feed, or a few: what every line of the stream is for, and what happens at its edges."""

import json
import os
import re
import signal
import socket

import pytest

from offload_lab.clients.event_source import EventSourcePool
from offload_lab.clients.event_stream_pool import EventStreamPool
from offload_lab.clients.sse import EventStreamParser, request_bytes
from offload_lab.process.polling import wait_for
from offload_lab.testing import events_by
from offload_lab.timeouts import scaled

from .test_announcements import announce

TIMEOUT_S = 30
FORGED = ["1", "-", "+", "$", "*", "1-1", "0-0", "1-1; DROP", "٣-٣", "9" * 25 + "-0", "99999999999999999-0", "a" * 3000]


def goes_on(stage, client, place):
    """Whether `client` gets all that is in the feed behind `place`. A backend may be a moment behind the store."""
    behind = [entry_id for entry_id, _ in stage.redis.xrange("feed", min=f"({place}")]
    return ids(client, len(behind)) == behind


def come_back(stage, last_event_id, **options):
    return stage.subscribe(headers=[("Last-Event-ID", last_event_id)], **options)


def ids(client, count):
    return [client.next().last_event_id for _ in range(count)]


@pytest.mark.core
def test_a_new_client_gets_an_id_and_the_events_after_it(quiet, say):
    with quiet.subscribe() as ada:
        hello = ada.next()
        assert (hello.type, json.loads(hello.data)["for"]) == ("hello", "ada")
        say(3)
        assert goes_on(quiet, ada, hello.last_event_id)


def test_every_event_has_its_id_in_the_same_block_and_no_block_is_without(quiet, say):
    """By the letter of the HTML standard a block without an id makes a browser forget the one it had."""
    [first, *_] = say(5)
    with come_back(quiet, first) as ada:
        ids(ada, 5)
        say()
        ada.next()
        while "♥" not in ada.body.decode():  # signs of life come in between
            ada.read()
    *blocks, rest = re.sub(r"^:.*\n", "", ada.body.decode(), flags=re.MULTILINE).split("\n\n")
    assert rest == ""
    assert len(blocks) == 6
    for block in blocks:
        assert [line.partition(":")[0] for line in block.split("\n")][-3:] == ["id", "event", "data"]


@pytest.mark.parametrize("client", ["httpx-sse", "sseclient-py"])
def test_strict_clients_see_each_event_with_its_id_and_no_other(started, client):
    stage = started("stream", tick_s=0.1, heartbeat_s=0.05)
    events = events_by(client, f"{stage.url}/subscribe", 4, stage.ada.cookie)
    assert [type for type, _, _ in events] == ["hello", "train", "train", "train"]
    assert len({id for _, _, id in events}) == 4


def served_by(stage):
    """The name of the backend that greets a client; empty where Django says to come back."""
    with stage.subscribe() as ada:
        try:
            return json.loads(ada.next().data)["backend"]
        except ConnectionError:
            return ""


@pytest.mark.parametrize(("name", "other"), [("stream_a", "stream_b"), ("stream_b", "stream_a")])
def test_a_stopped_backend_is_passed_over(quiet, name, other):
    [worker] = quiet.process(name).workers()
    os.kill(worker.pid, signal.SIGSTOP)
    try:
        assert {served_by(quiet) for _ in range(4)} == {other}
    finally:
        os.kill(worker.pid, signal.SIGCONT)
    wait_for(lambda: served_by(quiet) == name, TIMEOUT_S, f"{name} chosen again, once its silence is forgotten")


def test_a_stream_cut_anywhere_loses_nothing_and_repeats_nothing(quiet, say):
    before, *published = say(3)
    with come_back(quiet, before) as ada:
        ids(ada, 3)
    for length in range(len(ada.body) + 1):
        parser = EventStreamParser()
        parser.last_event_id = before
        had = [event.last_event_id for event in parser.feed(ada.body[:length]) if event.type == "notice"]
        behind = (
            published[published.index(parser.last_event_id) + 1 :] if parser.last_event_id in published else published
        )
        assert had + behind == published


@pytest.mark.core
def test_a_client_reconnects_to_either_backend_without_a_gap(quiet, say):
    first, *rest = say(10)
    seen = set()
    while len(seen) < 2:
        with come_back(quiet, first) as ada:
            seen.add(json.loads(ada.next().data)["backend"])
            assert ids(ada, 9) == rest
            [now] = say()
            rest.append(now)
            first = rest.pop(0)
            while ada.next().last_event_id != now:
                pass


def test_a_history_of_many_pages_arrives_whole(quiet, feed):
    first, *rest = [feed.publish(quiet.redis, "notice", history=1000, text="all change") for _ in range(350)]
    with come_back(quiet, first) as ada:
        assert ada.next().type == "hello"
        assert ids(ada, 349) == rest


def test_a_client_away_longer_than_the_history_gets_a_reset_and_goes_on(quiet, say, feed):
    [long_ago] = say()
    say(400)  # more than what is kept: Redis throws away a hundred at a time
    oldest = quiet.redis.xrange(feed.FEED, count=1)[0][0]
    assert feed.position(oldest) > feed.position(long_ago)
    with come_back(quiet, oldest) as ada:  # just in time
        assert ada.next().type == "hello"
    with come_back(quiet, long_ago) as ada:
        reset = ada.next()
        assert reset.type == "reset"
        assert feed.position(reset.last_event_id) >= feed.position(oldest)
        say()
        assert goes_on(quiet, ada, reset.last_event_id)
    with come_back(quiet, reset.last_event_id) as ada:
        assert ada.next().type == "hello"
        assert goes_on(quiet, ada, reset.last_event_id)


@pytest.mark.parametrize("forged", FORGED, ids=ascii)
def test_an_id_that_never_was_in_the_feed_causes_a_reset(quiet, say, forged):
    say()
    with come_back(quiet, forged.encode().decode("latin-1")) as ada:
        reset = ada.next()
        assert reset.type == "reset"
        say()
        assert goes_on(quiet, ada, reset.last_event_id)


def test_redis_restarted_without_its_data_causes_a_reset(quiet, say, feed):
    before, *_ = say(20)  # so many that its id, which tells the millisecond, is not made once more
    quiet.redis.flushall()
    say()
    with come_back(quiet, before) as ada:
        assert ada.next().type == "reset"


def test_connected_clients_are_reset_when_redis_loses_its_data(quiet, say):
    with EventSourcePool(quiet.port, 4, cookie=quiet.ada.cookie) as clients:
        clients.wait_until_all(lambda client: client.events, TIMEOUT_S, "a hello")
        quiet.redis.flushall()
        say(2)
        clients.wait_until_all(
            lambda client: any(event.type == "reset" for event in client.events), TIMEOUT_S, "a reset"
        )
        [now] = say()
        clients.wait_until_all(lambda client: client.last_event_id == now, TIMEOUT_S, "the feed going on")


def test_every_browser_gets_a_different_retry_time(quiet):
    retry_ms = []
    for _ in range(10):
        with quiet.subscribe() as ada:
            ada.next()
            retry_ms.append(ada.parser.retry_ms)
    assert min(retry_ms) >= 100
    assert max(retry_ms) <= 300
    assert len(set(retry_ms)) > 1


def test_a_stalled_client_gets_a_bye_and_the_rest_when_it_reconnects(quiet, say):
    big = "x" * 200_000
    with socket.socket() as lazy:
        lazy.settimeout(scaled(TIMEOUT_S))
        lazy.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        lazy.connect(("127.0.0.1", quiet.port))
        lazy.sendall(request_bytes(quiet.port, "/subscribe", quiet.ada.cookie))
        assert b"hello" in lazy.recv(4096, socket.MSG_PEEK | socket.MSG_WAITALL)
        with quiet.subscribe() as ada:
            ada.next()
            published = []
            for _ in range(8):  # 16 MB: more than the kernel's buffers, and twice 20 events that wait, together
                published += say(10, big)  # not one by one: within stream_a.ini's socket-timeout
                assert ids(ada, 10) == published[-10:]  # those who take what comes notice nothing
        everything = b"".join(iter(lambda: lazy.recv(2**20), b""))
    parser = EventStreamParser()
    hello, *had, bye = parser.feed(everything.partition(b"\r\n\r\n")[2])
    assert (hello.type, bye.type, json.loads(bye.data)["why"]) == ("hello", "bye", "stalled")
    had = [event.last_event_id for event in had]
    assert had == published[: len(had)]
    assert len(had) < 80
    with come_back(quiet, parser.last_event_id) as back:
        assert back.next().type == "hello"
        assert ids(back, 80 - len(had)) == published[len(had) :]


def test_fifty_clients_need_no_further_connection_to_redis(quiet, say):
    for _ in range(2):  # each backend has its reader by now, and one for the past
        with come_back(quiet, say()[0]) as ada:
            ada.next()
    before = quiet.redis.info("clients")["connected_clients"]
    with EventStreamPool(quiet.port, 50, cookie=quiet.ada.cookie) as clients:
        clients.wait_for_events(each=1, timeout_s=TIMEOUT_S)
        say()
        clients.wait_for_events(each=2, timeout_s=TIMEOUT_S)
        assert quiet.redis.info("clients")["connected_clients"] <= before + 2 * 4


def test_a_stream_ends_regularly_so_that_django_is_asked_again(make_stage):
    with make_stage("stream", without=["stream_b.ini"], lifetime_s=0.2, tick_s=0.05, retry_ms=50) as stage:
        with stage.subscribe() as ada:
            while (event := ada.next()).type != "bye":
                last = event.last_event_id
            assert (json.loads(event.data)["why"], event.last_event_id) == ("lifetime", last)
        with EventSourcePool(stage.port, 5, cookie=stage.ada.cookie) as clients:
            clients.wait_until_all(lambda client: client.connections > 3, TIMEOUT_S, "four visits")
            stage.ada.log_out()
            clients.wait_until_all(lambda client: client.given_up.startswith("403"), TIMEOUT_S, "Django's no")
        for client in clients.all:
            numbers = [json.loads(event.data)["number"] for event in client.events if event.type == "train"]
            assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))
        ticker_is_replaced_and_goes_on(stage)


def ticker_is_replaced_and_goes_on(stage):
    """Here, since this stage has trains."""
    [worker] = stage.workers()
    [publisher] = set(stage.front.pids()) - {stage.front.pid, worker.pid}
    os.kill(publisher, signal.SIGKILL)
    wait_for(lambda: publisher not in stage.front.pids(), TIMEOUT_S, "the publisher gone")
    before = stage.redis.xlen("feed")
    wait_for(lambda: stage.redis.xlen("feed") > before + 3, TIMEOUT_S, "trains of another publisher")


def test_without_any_backend_a_browser_retries_until_there_is_one(quiet, say):
    with EventSourcePool(quiet.port, 5, cookie=quiet.ada.cookie) as clients:
        clients.wait_until_all(lambda client: client.events, TIMEOUT_S, "a hello")
        quiet.stop("stream_a", "stream_b")
        before = [client.connections for client in clients.all]
        [missed] = say()
        with quiet.subscribe() as ada:
            assert (ada.head.status, ada.head.get("Content-Type")) == (200, ["text/event-stream; charset=utf-8"])
            assert ada.read_all().startswith(b"retry: ")
            assert b"\n\n" not in ada.body
        wait_for(
            lambda: all(client.connections > n for client, n in zip(clients.all, before, strict=True)),
            TIMEOUT_S,
            "a try",
        )
        quiet.restart("stream_a", "stream_b")
        clients.wait_until_all(lambda client: client.last_event_id == missed, TIMEOUT_S, "what they missed")


def test_while_redis_is_away_streams_stay_open_and_new_ones_wait(quiet, say):
    [before] = say()
    os.kill(quiet.process("store").pid, signal.SIGSTOP)  # or it would start another
    try:
        os.kill(quiet.redis_pid(), signal.SIGKILL)
        with come_back(quiet, before) as ada:
            while b": waiting for Redis\n" not in ada.body:
                ada.read()
            answer = announce(quiet, "is Redis there?")
            assert (answer.status, answer.headers["Retry-After"]) == (503, "1")
            os.kill(quiet.process("store").pid, signal.SIGCONT)
            assert ada.next().last_event_id == before
    finally:
        os.kill(quiet.process("store").pid, signal.SIGCONT)
    say()
