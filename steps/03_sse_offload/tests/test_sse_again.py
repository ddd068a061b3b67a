"""Every offloading front while its backend is away: an EventSource is told when to come back, and Django stays free."""

import os
import signal
from contextlib import contextmanager

import pytest

from offload_lab.clients import ping
from offload_lab.clients.sse import SseClient
from offload_lab.process.deadlines import Deadline
from offload_lab.process.polling import wait_for
from offload_lab.testing import idle_workers

from .conftest import OFFLOADING, TIMEOUT_S

each_front = pytest.mark.parametrize("stage", OFFLOADING, indirect=True)
DJANGOS = {"X-Frame-Options": "DENY", "Vary": "Cookie", "X-Content-Type-Options": "nosniff"}


@contextmanager
def stopped(backend):
    backend.stop()
    try:
        yield
    finally:
        backend.start()
        backend.wait_ready(Deadline(TIMEOUT_S))


@contextmanager
def stuck(backend):
    """The kernel goes on taking connections for it."""
    [worker] = backend.workers()
    os.kill(worker.pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(worker.pid, signal.SIGCONT)


def is_told_to_come_back(stage):
    with stage.subscribe() as ada:
        assert ada.head.status == 200
        body = ada.read_all()
    assert ada.head.get("Content-Type") == ["text/event-stream; charset=utf-8"]
    assert not ada.head.get("X-Offload-to-SSE")
    assert DJANGOS.items() <= dict(ada.head.headers).items()
    assert 1000 <= ada.parser.retry_ms <= 3000
    assert (ada.events, ada.parser.comments) == ([], ["the backend does not answer"])
    assert b"\n\n" not in body  # or a strict client would see an event, and forget the last one's id


def is_offloaded(stage):
    with stage.subscribe() as ada:
        return bool(ada.read()) and not ada.parser.comments


@each_front
@pytest.mark.parametrize("away", [stopped, stuck])
def test_without_a_backend_an_eventsource_gets_200_and_a_time_to_retry(stage, away):
    [before] = idle_workers(stage)
    with away(stage.backend):
        for _ in range(2):
            is_told_to_come_back(stage)
        [after] = idle_workers(stage)
        assert (after.pid, after.offloaded) == (before.pid, before.offloaded)
        assert ping(stage.port, TIMEOUT_S).pid == before.pid
    wait_for(lambda: is_offloaded(stage), TIMEOUT_S, "a stream offloaded again")


@each_front
def test_an_anonymous_client_is_refused_with_and_without_a_backend(stage):
    with stuck(stage.backend), SseClient(stage.port) as anonymous:
        assert (anonymous.head.status, anonymous.read_all()) == (403, b"log in first\n")
    wait_for(lambda: is_offloaded(stage), TIMEOUT_S, "a stream offloaded again")
