"""SIGHUP under load, inside a virtual environment: the listening socket stays open, and every stream comes back."""

import os
import re
import signal

import pytest

from offload_lab.clients import Probes
from offload_lab.clients.event_source import EventSourcePool
from offload_lab.errors import MissingDependencyError
from offload_lab.process.polling import wait_for
from offload_lab.testing import require
from offload_lab.uwsgi import binary

from .conftest import FAST, STEP, LoggedInStage

RELOADS, STREAMS = 4, 20
PATIENCE_S = 60
# uWSGI 2.0.31's gracefully_kill() ends a worker at once unless it is in a request, and one that has accepted a
# connection is in none until it begins to read: the client of that moment is cut off (docs/field-notes.md)
ACCEPTED_AND_CUT = re.compile(r"Connection reset|RemoteDisconnected")


@pytest.fixture(params=["wheel", "built"])
def stage(request):
    try:
        chosen = binary.find(request.param)
    except MissingDependencyError as missing:
        require(False, missing.what, missing.install)
    with LoggedInStage(STEP, "header", engine=chosen, placeholders=FAST) as stage:
        yield stage


def reload(process):
    """Returns once another worker accepts requests under the same master."""
    [before] = process.workers()
    os.kill(process.pid, signal.SIGHUP)
    wait_for(lambda: accepts(process, but_not=before.pid), PATIENCE_S, f"another worker of {process.name}")


def accepts(process, but_not):
    try:
        return any(worker["accepting"] and worker["pid"] not in (0, but_not) for worker in process.stats()["workers"])
    except OSError:
        return False  # the stats socket is bound anew


def all_are_back(streams, *, after):
    """An event that came on a new connection, which went on behind the last one."""
    streams.wait_until_all(
        lambda stream: stream.connections > after[id(stream)][0] and len(stream.events) > after[id(stream)][1],
        PATIENCE_S,
        "an event on a new connection",
    )


@pytest.mark.parametrize("name", ["header", "sse"])
def test_four_reloads_under_load_refuse_no_client_and_lose_no_stream(stage, name):
    process = stage.process(name)
    with EventSourcePool(stage.port, STREAMS, cookie=stage.ada.cookie) as streams:
        streams.wait_until_all(lambda stream: stream.events, PATIENCE_S, "a first event")
        with Probes(stage.port, every_s=0.1, timeout_s=PATIENCE_S) as bystanders:
            for _ in range(RELOADS):
                before = {id(stream): (stream.connections, len(stream.events)) for stream in streams.all}
                reload(process)
                all_are_back(streams, after=before)
        assert [stream.given_up for stream in streams.all if stream.given_up] == []
    cut = [probe.error for probe in bystanders.all if probe.error]
    assert len(cut) <= RELOADS
    assert [error for error in cut if not ACCEPTED_AND_CUT.search(error)] == []
    assert process.log.read_text(errors="replace").count("binary reloading uWSGI") == RELOADS
    for stream in streams.all:
        numbers = [int(event.last_event_id) for event in stream.events]
        assert numbers == list(range(1, len(numbers) + 1))
