"""recycle_cuts, dead_clients, sigterm_reloads: who goes, who is told, and who finds out."""

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
VISITORS = 20


def last_number(visitor) -> int:
    return int(visitor.next().last_event_id)


def cut_off(visitor) -> int:
    """The last number that this visitor heard before the stream ended."""
    visitor.read_all()
    return int(visitor.parser.last_event_id)


def comes_back(stage, heard: int) -> tuple[int, int]:
    """The first number for a visitor who heard `heard`, and which number somebody else has heard before that."""
    with SseClient(stage.port) as other:
        while (called := last_number(other)) < heard + 3:
            pass
    with SseClient(stage.port, headers=[("Last-Event-ID", str(heard))]) as visitor:
        return last_number(visitor), called


@pytest.mark.core
def test_recycle_cuts_broken_ends_streams_and_loses_numbers(stage_of):
    stage = stage_of("recycle_cuts_broken")
    with SseClient(stage.port) as visitor:
        last_number(visitor)
        first = ping(stage.port, TIMEOUT_S).pid
        for _ in range(REQUESTS):
            ping(stage.port, TIMEOUT_S)
        heard = cut_off(visitor)
    assert ping(stage.port, TIMEOUT_S).pid != first
    hears, called = comes_back(stage, heard)
    assert hears > called > heard + 1


@pytest.mark.core
def test_recycle_cuts_fixed_keeps_the_worker_after_many_requests(stage_of):
    stage = stage_of("recycle_cuts_fixed")
    with SseClient(stage.port) as visitor:
        before = last_number(visitor)
        assert len({ping(stage.port, TIMEOUT_S).pid for _ in range(5 * REQUESTS)}) == 1
        assert last_number(visitor) == before + 1


def test_recycle_cuts_fixed_loses_no_number_when_the_worker_does_end(stage_of):
    stage = stage_of("recycle_cuts_fixed")
    with SseClient(stage.port) as visitor:
        last_number(visitor)
        os.kill(stage.front.pid, signal.SIGHUP)
        heard = cut_off(visitor)
    hears, called = comes_back(stage, heard)
    assert hears == heard + 1 < called


def desert(stage) -> None:
    """A crowd of visitors comes, is welcomed, and leaves. Returns when the front knows that they left."""
    before = descriptors(stage.front)
    with EventStreamPool(stage.port, VISITORS) as streams:
        wait_for(lambda: streams.open == VISITORS, TIMEOUT_S, "everybody welcomed")
        assert (carried(stage), descriptors(stage.front)) == (VISITORS, before + 2 * VISITORS)
    wait_for(lambda: descriptors(stage.front) == before, TIMEOUT_S, "the front notices that they left")


def descriptors(process) -> int:
    return len(os.listdir(f"/proc/{process.workers()[0].pid}/fd"))


def carried(stage) -> int:
    """How many greenlets of the app behind have a visitor, as far as it knows."""
    [worker] = stage.processes[0].stats()["workers"]
    return sum(core["in_request"] for core in worker["cores"])


@pytest.mark.core
def test_dead_clients_broken_keeps_greenlets_and_descriptors_until_news(stage_of):
    stage = stage_of("dead_clients_broken")
    desert(stage)
    held = descriptors(stage.processes[0])
    assert carried(stage) == VISITORS
    assert fetch(stage.port, "/news").status == 200
    wait_for(lambda: carried(stage) == 0, TIMEOUT_S, "the write that fails frees the greenlets")
    wait_for(lambda: descriptors(stage.processes[0]) == held - VISITORS, TIMEOUT_S, "the descriptors")


@pytest.mark.core
def test_dead_clients_fixed_frees_dead_clients_and_keeps_live_ones(stage_of):
    stage = stage_of("dead_clients_fixed")
    with SseClient(stage.port) as faithful:
        with EventStreamPool(stage.port, VISITORS) as streams:
            wait_for(lambda: streams.open == VISITORS, TIMEOUT_S, "everybody welcomed")
            assert carried(stage) == VISITORS + 1
        wait_for(lambda: carried(stage) == 1, TIMEOUT_S, "a sign of life that fails frees the greenlets")
        heard = len(faithful.parser.comments)
        while len(faithful.parser.comments) < heard + 3:
            faithful.read()


def said_goodbye(process) -> bool:
    """Whether it has ended by itself, and cleanly."""
    wait_for(lambda: process.status() is not None, TIMEOUT_S, "its end")
    return process.status() == 0 and "goodbye to uWSGI" in process.log_tail()


@pytest.mark.core
def test_sigterm_reloads_broken_on_the_wheel_dies_during_a_reload():
    with Stage(STEP, "sigterm_reloads_broken", engine=binary.find("wheel")) as stage:
        os.kill(stage.front.pid, signal.SIGTERM)
        assert not said_goodbye(stage.front)
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
        wait_for(lambda: other_worker(stage.port, before), TIMEOUT_S, "another worker that answers")
        assert stage.front.status() is None
        os.kill(stage.front.pid, signal.SIGQUIT)  # this does end it; leaving the block would wait and use SIGKILL
        assert said_goodbye(stage.front)


def other_worker(port: int, pid: int) -> bool:
    try:
        return ping(port, TIMEOUT_S).pid != pid
    except OSError:
        return False  # just now nobody listens


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
        wait_for(lambda: other_worker(stage.port, before), TIMEOUT_S, "another worker that answers")
        os.kill(stage.front.pid, signal.SIGTERM)
        assert said_goodbye(stage.front)
        assert not stage.front.stats_socket.exists()
        assert not port_in_use(stage.port)
