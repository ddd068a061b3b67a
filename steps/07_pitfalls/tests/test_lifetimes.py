"""recycle_cuts, dead_clients, sigterm_reloads: what ends, and which process notices."""

import os
import signal

import pytest

from offload_lab.clients import fetch, ping
from offload_lab.clients.event_stream_pool import EventStreamPool
from offload_lab.clients.sse import SseClient
from offload_lab.errors import MissingDependencyError
from offload_lab.process.polling import wait_for
from offload_lab.process.server_process import port_in_use
from offload_lab.stages.stage import Stage
from offload_lab.testing import require
from offload_lab.uwsgi import binary

from .conftest import STEP, TIMEOUT_S

REQUESTS = 20  # of recycle_cuts_broken.ini
CLIENTS = 20


def next_number(client) -> int:
    return int(client.next().last_event_id)


def read_to_the_end(client) -> int:
    """Read to the stream's end. Returns the last number that the client received."""
    client.read_all()
    return int(client.parser.last_event_id)


def reconnect(stage, last: int) -> tuple[int, int]:
    """The first number for a client that reconnects after `last`, and one that was published before it did."""
    with SseClient(stage.port) as other:
        while (published := next_number(other)) < last + 3:
            pass
    with SseClient(stage.port, headers=[("Last-Event-ID", str(last))]) as client:
        return next_number(client), published


@pytest.mark.core
def test_recycle_cuts_broken_ends_streams_and_loses_numbers(stage_of):
    stage = stage_of("recycle_cuts_broken")
    with SseClient(stage.port) as client:
        next_number(client)
        old = ping(stage.port, TIMEOUT_S).pid
        for _ in range(REQUESTS):
            ping(stage.port, TIMEOUT_S)
        last = read_to_the_end(client)
    assert ping(stage.port, TIMEOUT_S).pid != old
    first_number, published = reconnect(stage, last)
    assert first_number > published > last + 1


@pytest.mark.core
def test_recycle_cuts_fixed_keeps_the_worker_after_many_requests(stage_of):
    stage = stage_of("recycle_cuts_fixed")
    with SseClient(stage.port) as client:
        before = next_number(client)
        assert len({ping(stage.port, TIMEOUT_S).pid for _ in range(5 * REQUESTS)}) == 1
        assert next_number(client) == before + 1


def test_recycle_cuts_fixed_loses_no_number_when_the_worker_does_end(stage_of):
    stage = stage_of("recycle_cuts_fixed")
    with SseClient(stage.port) as client:
        next_number(client)
        os.kill(stage.front.pid, signal.SIGHUP)
        last = read_to_the_end(client)
    first_number, published = reconnect(stage, last)
    assert first_number == last + 1 < published


def connect_and_leave(stage) -> None:
    """Many clients connect, receive the first bytes, and leave. Returns when the front has noticed."""
    before = descriptors(stage.front)
    with EventStreamPool(stage.port, CLIENTS) as streams:
        wait_for(lambda: streams.open == CLIENTS, TIMEOUT_S, "all streams open")
        assert (count_streams(stage), descriptors(stage.front)) == (CLIENTS, before + 2 * CLIENTS)
    wait_for(lambda: descriptors(stage.front) == before, TIMEOUT_S, "the front notices that they left")


def descriptors(process) -> int:
    return len(os.listdir(f"/proc/{process.workers()[0].pid}/fd"))


def count_streams(stage) -> int:
    """How many requests the backend still serves, by its own stats."""
    [worker] = stage.processes[0].stats()["workers"]
    return sum(core["in_request"] for core in worker["cores"])


@pytest.mark.core
def test_dead_clients_broken_keeps_greenlets_and_descriptors_until_news(stage_of):
    stage = stage_of("dead_clients_broken")
    connect_and_leave(stage)
    held = descriptors(stage.processes[0])
    assert count_streams(stage) == CLIENTS
    assert fetch(stage.port, "/news").status == 200
    wait_for(lambda: count_streams(stage) == 0, TIMEOUT_S, "the write that fails frees the greenlets")
    wait_for(lambda: descriptors(stage.processes[0]) == held - CLIENTS, TIMEOUT_S, "the descriptors")


@pytest.mark.core
def test_dead_clients_fixed_frees_dead_clients_and_keeps_live_ones(stage_of):
    stage = stage_of("dead_clients_fixed")
    with SseClient(stage.port) as live:
        with EventStreamPool(stage.port, CLIENTS) as streams:
            wait_for(lambda: streams.open == CLIENTS, TIMEOUT_S, "all streams open")
            assert count_streams(stage) == CLIENTS + 1
        wait_for(lambda: count_streams(stage) == 1, TIMEOUT_S, "a comment that cannot be written frees the greenlets")
        received = len(live.parser.comments)
        while len(live.parser.comments) < received + 3:
            live.read()


def ended_cleanly(process) -> bool:
    """Whether it has ended by itself, and cleanly."""
    wait_for(lambda: process.status() is not None, TIMEOUT_S, "its end")
    return process.status() == 0 and "goodbye to uWSGI" in process.log_tail()


@pytest.mark.core
def test_sigterm_reloads_broken_on_the_wheel_dies_during_a_reload():
    with Stage(STEP, "sigterm_reloads_broken", engine=binary.find("wheel")) as stage:
        os.kill(stage.front.pid, signal.SIGTERM)
        assert not ended_cleanly(stage.front)
        assert "binary reloading uWSGI" in stage.logs()
        assert "No module named 'pyuwsgi'" in stage.logs()


def test_sigterm_reloads_broken_on_the_built_engine_lives_on():
    try:
        built = binary.find("built")
    except MissingDependencyError as missing:
        require(False, missing.what, missing.install)
    with Stage(STEP, "sigterm_reloads_broken", engine=built) as stage:
        before = ping(stage.port, TIMEOUT_S).pid
        os.kill(stage.front.pid, signal.SIGTERM)
        wait_for(lambda: is_reloaded(stage, before), TIMEOUT_S, "another worker that answers")
        assert stage.front.status() is None
        os.kill(stage.front.pid, signal.SIGQUIT)  # this does end it; leaving the block would wait and use SIGKILL
        assert ended_cleanly(stage.front)


def is_reloaded(stage: Stage, pid: int) -> bool:
    """Its stats tell that the master has come to its loop: a signal before that ends it without a clean-up."""
    try:
        return ping(stage.port, TIMEOUT_S).pid != pid and stage.front.is_ready()
    except OSError:
        return False  # nothing listens at the moment


@pytest.mark.core
@pytest.mark.parametrize("which", ["wheel", "built"])
def test_sigterm_reloads_fixed_reloads_on_sighup_and_ends_on_sigterm(which):
    try:
        chosen = binary.find(which)
    except MissingDependencyError as missing:
        require(False, missing.what, missing.install)
    with Stage(STEP, "sigterm_reloads_fixed", engine=chosen) as stage:
        before = ping(stage.port, TIMEOUT_S).pid
        os.kill(stage.front.pid, signal.SIGHUP)
        wait_for(lambda: is_reloaded(stage, before), TIMEOUT_S, "another worker that answers")
        os.kill(stage.front.pid, signal.SIGTERM)
        assert ended_cleanly(stage.front)
        assert not stage.front.stats_socket.exists()
        assert not port_in_use(stage.port)
