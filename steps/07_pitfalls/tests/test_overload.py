"""greenlet_ceiling, queue_full: more visitors than can be carried, and a thread that falls behind."""

import ctypes
import os
import selectors
import socket
from contextlib import ExitStack, contextmanager

import pytest

from offload_lab.clients import ping
from offload_lab.clients.event_stream_pool import EventStreamPool
from offload_lab.clients.sse import SseClient, request_bytes
from offload_lab.process.polling import wait_for
from offload_lab.stages.stage import Stage
from offload_lab.testing import require
from offload_lab.timeouts import scaled
from offload_lab.uwsgi import binary

from .conftest import STEP, TIMEOUT_S

SEATS = 20  # of greenlet_ceiling_*.ini
WALL = 0x40000000  # __WALL of waitpid(2): threads as well
CROWD = 400  # more than one queue holds
SEIZE, INTERRUPT, DETACH = 0x4206, 0x4207, 17  # of ptrace(2)


AGAIN = b"Content-Type: text/event-stream; charset=utf-8"  # of an event stream that only says when to come back


def is_refused(stage) -> bool:
    """Whether a client that asks for the stream now is told to come back later."""
    with SseClient(stage.port) as visitor:
        return visitor.head.status == 200 and f"Content-Type: {visitor.head.get('Content-Type')[0]}".encode() == AGAIN


def knock(stage, exits, path="/subscribe") -> socket.socket:
    """Somebody who has asked, and waits."""
    visitor = exits.enter_context(socket.create_connection(("127.0.0.1", stage.port), timeout=scaled(TIMEOUT_S)))
    visitor.sendall(request_bytes(stage.port, path))
    return visitor


@pytest.mark.core
def test_greenlet_ceiling_broken_leaves_one_client_too_many_unanswered(stage_of):
    stage = stage_of("greenlet_ceiling_broken")
    with ExitStack() as exits:
        with EventStreamPool(stage.port, SEATS) as streams:
            streams.wait_for_events(each=1, timeout_s=TIMEOUT_S)
            late = knock(stage, exits)
            full = "async queue is full"
            wait_for(lambda: full in stage.processes[0].log_tail(), TIMEOUT_S, full)
            heard = max(one.events for one in streams.all)
            streams.wait_for_events(each=heard + 3, timeout_s=TIMEOUT_S)
            assert hears([late]) == []
        assert late.recv(100).startswith(b"HTTP/1.1 200 OK")


@pytest.mark.core
def test_greenlet_ceiling_fixed_refuses_with_retry_and_frees_seats(stage_of):
    stage = stage_of("greenlet_ceiling_fixed")
    with EventStreamPool(stage.port, SEATS) as streams:
        streams.wait_for_events(each=1, timeout_s=TIMEOUT_S)
        for _ in range(2 * SEATS):  # saying no takes no seat away
            assert is_refused(stage)
        assert streams.open == SEATS
    wait_for(lambda: not is_refused(stage), TIMEOUT_S, "a free seat")


def test_greenlet_ceiling_fixed_never_serves_more_than_it_has_seats(stage_of):
    stage = stage_of("greenlet_ceiling_fixed")
    wait_for(lambda: serves(stage) == 0, TIMEOUT_S, "all seats free")
    with EventStreamPool(stage.port, 5 * SEATS) as streams:
        wait_for(lambda: all(one.events or one.closed for one in streams.all), TIMEOUT_S, "an answer for all")
        assert sum(one.events > 0 for one in streams.all) == streams.open == SEATS


def ptrace(request: int, tid: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.ptrace(request, tid, None, None):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


@contextmanager
def held_up(stage):
    """The worker's offload threads stopped, as a debugger does it, and nothing else of the worker.

    It stands for a second in which they have more to carry than they can, and makes that second as long as we like.
    """
    pid = stage.workers()[0].pid
    threads = [int(tid) for tid in os.listdir(f"/proc/{pid}/task") if int(tid) != pid]
    try:
        for tid in threads:
            ptrace(SEIZE, tid)
    except OSError as error:
        require(False, f"the right to stop a thread with ptrace (here: {error})", "docker run --cap-add SYS_PTRACE …")
    for tid in threads:
        ptrace(INTERRUPT, tid)
        os.waitpid(tid, WALL)
    try:
        yield
    finally:
        for tid in threads:
            try:
                ptrace(DETACH, tid)
            except OSError:  # killed meanwhile, by harakiri for one: until it is reaped here its process stays, dead
                os.waitpid(tid, WALL)


def crowd_knocks(stage, exits) -> list[socket.socket]:
    return [knock(stage, exits) for _ in range(CROWD)]


def hears(visitors) -> list[socket.socket]:
    """Those for whom there is something to read."""
    with selectors.DefaultSelector() as selector:
        for visitor in visitors:
            selector.register(visitor, selectors.EVENT_READ)
        return [key.fileobj for key, _ in selector.select(0)]


def serves(stage) -> int:
    """How many requests the app behind is busy with: those that it has read, not those that may still come."""
    [worker] = stage.processes[0].stats()["workers"]
    return sum(bool(core["vars"]) for core in worker["cores"])


def lose_the_worker(stage, exits) -> list[socket.socket]:
    """A crowd comes while the one thread is held up. It goes on then, and returned are all who came, in their order."""
    with held_up(stage):
        visitors = crowd_knocks(stage, exits)
        wait_for(lambda: serves(stage) == 1, TIMEOUT_S, "a visitor whom no thread can have carried, but the worker")
    return visitors


@pytest.mark.core
def test_queue_full_broken_loses_the_worker_when_its_thread_falls_behind(stage_of):
    stage = stage_of("queue_full_broken")
    with ExitStack() as exits:
        visitors = lose_the_worker(stage, exits)
        [worker] = stage.workers()
        assert worker.offloaded < CROWD
        *carried, lost = visitors[: worker.offloaded]
        wait_for(lambda: len(hears(carried)) == len(carried), TIMEOUT_S, "a timetable for all in the queue")
        bystander = knock(stage, exits, "/ping")
        waiting = CROWD - worker.offloaded + 1
        wait_for(lambda: stage.front.stats()["listen_queue"] == waiting, TIMEOUT_S, "the bystander in the listen queue")
        read(carried[0], 200_000)  # the thread goes on carrying, timetable after timetable
        assert stage.workers() == [worker]
        assert worker.busy
        assert hears([lost, bystander]) == []
        stage.processes[0].stop()  # nothing less frees the worker
        assert bystander.recv(100).startswith(b"HTTP/1.1 200 OK")


def test_queue_full_broken_with_harakiri_ends_the_worker_and_its_streams():
    wheel = binary.find("wheel")
    with Stage(STEP, "queue_full_broken", options=["--harakiri", "2"], engine=wheel) as stage, ExitStack() as exits:
        [old] = stage.workers()
        visitors = lose_the_worker(stage, exits)
        assert ping(stage.port, TIMEOUT_S).pid != old.pid
        read(visitors[0], 10**9)  # returns, since the stream has an end


@pytest.mark.core
def test_queue_full_fixed_refuses_in_time_and_offloads_all_others(stage_of):
    stage = stage_of("queue_full_fixed")
    wait_for(lambda: not is_refused(stage), TIMEOUT_S, "the first visitor carried")
    with ExitStack() as exits:
        [worker] = stage.workers()
        with held_up(stage):
            visitors = crowd_knocks(stage, exits)
            assert ping(stage.port, TIMEOUT_S).pid == worker.pid  # who comes last is answered last
            refused = hears(visitors)
            assert 0 < len(refused) < CROWD
            assert all(AGAIN in visitor.recv(300) for visitor in refused)
        for visitor in set(visitors) - set(refused):
            assert AGAIN not in (head := visitor.recv(300))
            assert head.startswith(b"HTTP/1.1 200 OK")
        assert ping(stage.port, TIMEOUT_S).pid == worker.pid


def test_queue_full_fixed_answers_all_clients_in_a_storm(stage_of):
    stage = stage_of("queue_full_fixed")
    [worker] = stage.workers()
    with EventStreamPool(stage.port, CROWD, at_once=CROWD) as streams:
        wait_for(lambda: sum(one.status == 200 for one in streams.all) == CROWD, TIMEOUT_S, "an answer for all")
        assert ping(stage.port, TIMEOUT_S).pid == worker.pid


def read(visitor, size: int) -> int:
    """Take `size` bytes, or all there are until the end. Returns how many came."""
    came = 0
    while came < size and (chunk := visitor.recv(65536)):
        came += len(chunk)
    return came
