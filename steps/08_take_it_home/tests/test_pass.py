"""pass/front.ini on the patched uWSGI, behind nginx: connections outlive a reload, and a stop, of the front."""

import json
import os
import signal
from contextlib import ExitStack

import pytest

from offload_lab.errors import MissingDependencyError
from offload_lab.process.deadlines import Deadline
from offload_lab.process.polling import wait_for
from offload_lab.testing import require
from offload_lab.uwsgi import binary

from .conftest import TIMEOUT_S, opened
from .talker import talking
from .test_deployed import events_of, next_event

pytestmark = pytest.mark.core


@pytest.fixture
def shop(monkeypatch):
    try:
        patched = binary.find("built")
        patched.check(["pass"])
    except MissingDependencyError as missing:
        require(False, missing.what, missing.install)
    monkeypatch.setenv("FEED_HEARTBEAT_S", "0.2")
    with opened("pass", engine=patched) as shop:
        yield shop


def reload(front):
    before = {worker.pid for worker in front.workers()}
    os.kill(front.pid, signal.SIGHUP)

    def are_new():
        now = {worker.pid for worker in front.workers()} if front.is_ready() else set()
        return len(now) == len(before) and not now & before

    wait_for(are_new, TIMEOUT_S, "four new workers")


def test_every_stream_outlives_a_reload_and_a_stop_of_the_front(shop):
    """None of these clients reconnects by itself: what receives is the connection that was there before."""
    with ExitStack() as exits:
        users = [(user, http2) for user in (shop.ada, shop.grace) for http2 in (False, True)]
        clients = [exits.enter_context(shop.http(user, http2=http2)) for user, http2 in users]
        answers = [exits.enter_context(client.stream("GET", "/subscribe")) for client in clients for _ in range(2)]
        streams = [events_of(answer) for answer in answers]
        for events in streams:
            next_event(events, "hello")
        ada, grace = (exits.enter_context(talking(shop, user))[0] for user in (shop.ada, shop.grace))

        reload(shop.front)
        shop.notify("all", "reloaded", 1)
        assert {json.loads(next_event(events, "notice").data)["text"] for events in streams} == {"reloaded"}

        shop.front.stop()
        assert not shop.front.pids()
        for events in streams:
            next_event(events, "place")
        ada.send("while the front is away")
        assert [talker.receive()["text"] for talker in (ada, grace)] == ["while the front is away"] * 2

        shop.front.start()
        shop.front.wait_ready(Deadline(TIMEOUT_S))
        shop.notify("all", "back", 2)
        assert {json.loads(next_event(events, "notice").data)["text"] for events in streams} == {"back"}
        with shop.http(shop.ada) as client, client.stream("GET", "/subscribe") as another:
            next_event(events_of(another), "hello")
