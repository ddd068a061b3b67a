"""greenlet_ceiling, queue_full: more clients than greenlets, and an offload thread that falls behind."""

import ctypes
import os
import selectors
import socket
from contextlib import ExitStack, contextmanager

import pytest

from offload_lab.clients import ping
from offload_lab.clients.event_stream_pool import EventStreamPool
from offload_lab.clients.sse import SseClient, request_bytes
from offload_lab.inspect.observe import has_ended
from offload_lab.process.polling import wait_for
from offload_lab.stages.stage import Stage
from offload_lab.testing import require
from offload_lab.timeouts import scaled
from offload_lab.uwsgi import binary

from .conftest import STEP, TIMEOUT_S

SEATS = 20  # of greenlet_ceiling_*.ini
WALL = 0x40000000  # __WALL of waitpid(2): threads as well
CLIENTS = 400  # more than one queue holds
SEIZE, INTERRUPT, DETACH = 0x4206, 0x4207, 17  # of ptrace(2)


# of an event stream that only says when to reconnect
RECONNECT_LATER = "text/event-stream; charset=utf-8"


def is_refused(stage) -> bool:
    """Whether a client that requests the stream now is told to reconnect later."""
    with SseClient(stage.port) as client:
        return client.head.status == 200 and client.head.get("Content-Type") == [RECONNECT_LATER]


def open_client(stage, exits, path="/subscribe") -> socket.socket:
    """A client that has sent its request, and waits."""
    client = exits.enter_context(socket.create_connection(("127.0.0.1", stage.port), timeout=scaled(TIMEOUT_S)))
    client.sendall(request_bytes(stage.port, path))
    return client


@pytest.mark.core
def test_greenlet_ceiling_broken_leaves_one_client_too_many_unanswered(stage_of):
    stage = stage_of("greenlet_ceiling_broken")
    with ExitStack() as exits:
        with EventStreamPool(stage.port, SEATS) as streams:
            streams.wait_for_events(each=1, timeout_s=TIMEOUT_S)
            late = open_client(stage, exits)
            full = "async queue is full"
            wait_for(lambda: full in stage.processes[0].log_tail(), TIMEOUT_S, full)
            received = max(stream.events for stream in streams.all)
            streams.wait_for_events(each=received + 3, timeout_s=TIMEOUT_S)
            assert readable([late]) == []
        assert late.recv(100).startswith(b"HTTP/1.1 200 OK")


@pytest.mark.core
def test_greenlet_ceiling_fixed_refuses_with_retry_and_frees_seats(stage_of):
    stage = stage_of("greenlet_ceiling_fixed")
    with EventStreamPool(stage.port, SEATS) as streams:
        streams.wait_for_events(each=1, timeout_s=TIMEOUT_S)
        for _ in range(2 * SEATS):  # a refusal takes no seat
            assert is_refused(stage)
        assert streams.open == SEATS
    wait_for(lambda: not is_refused(stage), TIMEOUT_S, "a free seat")


def test_greenlet_ceiling_fixed_never_serves_more_than_it_has_seats(stage_of):
    stage = stage_of("greenlet_ceiling_fixed")
    wait_for(lambda: count_served(stage) == 0, TIMEOUT_S, "all seats free")
    with EventStreamPool(stage.port, 5 * SEATS) as streams:

        def all_answered():
            return len(streams.all) == 5 * SEATS and all(stream.events or stream.closed for stream in streams.all)

        wait_for(all_answered, TIMEOUT_S, "an answer for all")
        assert sum(stream.events > 0 for stream in streams.all) == streams.open == SEATS


def ptrace(request: int, tid: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.ptrace(request, tid, None, None):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


@contextmanager
def offload_threads_stopped(stage):
    """The worker's offload threads stopped, as a debugger does it, and nothing else of the worker.

    It stands for a moment in which they have more to proxy than they can, and makes that moment as long as needed.
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


def open_clients(stage, exits) -> list[socket.socket]:
    return [open_client(stage, exits) for _ in range(CLIENTS)]


def readable(clients) -> list[socket.socket]:
    """Those that have something to read."""
    with selectors.DefaultSelector() as selector:
        for client in clients:
            selector.register(client, selectors.EVENT_READ)
        return [key.fileobj for key, _ in selector.select(0)]


def count_served(stage) -> int:
    """How many requests the backend is busy with: those that it has read, not those that are on their way."""
    [worker] = stage.processes[0].stats()["workers"]
    return sum(bool(core["vars"]) for core in worker["cores"])


def lose_the_worker(stage, exits) -> list[socket.socket]:
    """Open all clients while the one offload thread is stopped. It goes on then; returns the clients in their order."""
    with offload_threads_stopped(stage):
        clients = open_clients(stage, exits)
        wait_for(lambda: count_served(stage) == 1, TIMEOUT_S, "a request that only the worker can have proxied")
    return clients


@pytest.mark.core
def test_queue_full_broken_loses_the_worker_when_its_thread_falls_behind(stage_of):
    stage = stage_of("queue_full_broken")
    with ExitStack() as exits:
        clients = lose_the_worker(stage, exits)
        [worker] = stage.workers()
        assert worker.offloaded < CLIENTS
        *offloaded, lost = clients[: worker.offloaded]
        wait_for(lambda: len(readable(offloaded)) == len(offloaded), TIMEOUT_S, "a timetable for each of them")
        bystander = open_client(stage, exits, "/ping")
        waiting = CLIENTS - worker.offloaded + 1
        wait_for(lambda: stage.front.stats()["listen_queue"] == waiting, TIMEOUT_S, "the bystander in the listen queue")
        read(offloaded[0], 200_000)  # the thread goes on proxying, timetable after timetable
        assert stage.workers() == [worker]
        assert worker.busy
        assert readable([lost, bystander]) == []
        stage.processes[0].stop()  # nothing less frees the worker
        assert bystander.recv(100).startswith(b"HTTP/1.1 200 OK")


def test_queue_full_broken_with_harakiri_ends_the_worker_and_its_streams():
    wheel = binary.find("wheel")
    with Stage(STEP, "queue_full_broken", options=["--harakiri", "2"], engine=wheel) as stage, ExitStack() as exits:
        [old] = stage.workers()
        with offload_threads_stopped(stage):
            clients = open_clients(stage, exits)
            wait_for(lambda: has_ended(old.pid), TIMEOUT_S, "the end of the worker")
        assert ping(stage.port, TIMEOUT_S).pid != old.pid
        read(clients[0], 10**9)  # returns, since the stream has an end


@pytest.mark.core
def test_queue_full_fixed_refuses_in_time_and_offloads_all_others(stage_of):
    stage = stage_of("queue_full_fixed")
    wait_for(lambda: not is_refused(stage), TIMEOUT_S, "the first client offloaded")
    with ExitStack() as exits:
        [worker] = stage.workers()
        with offload_threads_stopped(stage):
            clients = open_clients(stage, exits)
            assert ping(stage.port, TIMEOUT_S).pid == worker.pid  # sent last, so answered last
            refused = readable(clients)
            assert 0 < len(refused) < CLIENTS
            assert all(RECONNECT_LATER in client.recv(300).decode() for client in refused)
        for client in set(clients) - set(refused):
            assert RECONNECT_LATER not in (start := client.recv(300).decode())
            assert start.startswith("HTTP/1.1 200 OK")
        assert ping(stage.port, TIMEOUT_S).pid == worker.pid


def test_queue_full_fixed_answers_all_clients_in_a_storm(stage_of):
    stage = stage_of("queue_full_fixed")
    [worker] = stage.workers()
    with EventStreamPool(stage.port, CLIENTS, at_once=CLIENTS) as streams:
        wait_for(lambda: sum(client.status == 200 for client in streams.all) == CLIENTS, TIMEOUT_S, "an answer for all")
        assert ping(stage.port, TIMEOUT_S).pid == worker.pid


def read(client, size: int) -> int:
    """Read `size` bytes, or all there are until the end. Returns how many were read."""
    received = 0
    while received < size and (chunk := client.recv(65536)):
        received += len(chunk)
    return received
