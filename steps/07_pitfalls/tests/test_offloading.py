"""no_offload_threads, backend_down: an offload without threads, and one without a backend."""

import http.client
import os
import select
import signal
import socket

import psutil
import pytest

from offload_lab.clients import fetch, ping
from offload_lab.clients.event_source import EventSourcePool
from offload_lab.clients.event_stream_pool import EventStreamPool
from offload_lab.clients.sse import SseClient, request_bytes
from offload_lab.process.deadlines import Deadline
from offload_lab.process.polling import wait_for
from offload_lab.testing import idle_workers
from offload_lab.timeouts import scaled

from .conftest import TIMEOUT_S


def open_client(stage, path="/subscribe") -> socket.socket:
    """A client that has sent its request, and waits."""
    client = socket.create_connection(("127.0.0.1", stage.port), timeout=scaled(TIMEOUT_S))
    client.sendall(request_bytes(stage.port, path))
    return client


def has_left(stage, client_port: int) -> bool:
    """Whether the kernel knows that this client left, and the worker keeps the connection all the same."""
    connections = psutil.Process(stage.workers()[0].pid).net_connections("tcp")
    return ("CLOSE_WAIT", client_port) in [
        (connection.status, connection.raddr.port) for connection in connections if connection.raddr
    ]


@pytest.mark.core
def test_no_offload_threads_broken_loses_the_worker_to_the_first_client(stage_of):
    stage = stage_of("no_offload_threads_broken")
    with open_client(stage) as client:
        wait_for(lambda: stage.workers()[0].busy, TIMEOUT_S, "the worker proxies the stream")
        port = client.getsockname()[1]
    wait_for(lambda: has_left(stage, port), TIMEOUT_S, "the client is gone, the worker goes on proxying")
    with open_client(stage, "/ping") as bystander:
        wait_for(lambda: stage.front.stats()["listen_queue"] == 1, TIMEOUT_S, "the bystander in the listen queue")
        assert (stage.workers()[0].busy, stage.workers()[0].offloaded) == (True, 0)
        assert not select.select([bystander], [], [], 0)[0]
        stage.process("sse").stop()
        assert bystander.recv(1000).startswith(b"HTTP/1.1 200 OK")


@pytest.mark.core
def test_no_offload_threads_fixed_proxies_twenty_and_answers_a_bystander(stage_of):
    stage = stage_of("no_offload_threads_fixed")
    with EventStreamPool(stage.port, 20) as streams:
        streams.wait_for_events(each=2, timeout_s=TIMEOUT_S)
        pong = ping(stage.port, TIMEOUT_S)
        [worker] = idle_workers(stage)
        assert (pong.pid, worker.offloaded, streams.open) == (worker.pid, 20, 20)


@pytest.mark.core
def test_backend_down_broken_gives_an_empty_reply_and_logs_200(stage_of):
    stage = stage_of("backend_down_broken")
    stage.process("sse").stop()
    with pytest.raises(http.client.RemoteDisconnected):
        fetch(stage.port, "/subscribe")
    assert ping(stage.port, TIMEOUT_S).status == 200
    wait_for(lambda: "GET /ping" in stage.front.log_tail(1), TIMEOUT_S, "the log")
    [line] = [line for line in stage.front.log_tail().splitlines() if "GET /subscribe" in line]
    assert "(HTTP/1.1 200)" in line


@pytest.fixture
def fixed(stage_of):
    """With a backend that answers: started again after a test that ended it."""
    stage = stage_of("backend_down_fixed")
    backend = stage.process("sse")
    if backend.status() is not None:
        backend.stop()
        backend.start()
        backend.wait_ready(Deadline(TIMEOUT_S))
    wait_for(lambda: is_offloaded(stage), TIMEOUT_S, "a stream offloaded")
    return stage


def is_offloaded(stage) -> bool:
    with SseClient(stage.port) as client:
        return b"event:" in client.body + client.read()


def is_told_to_reconnect(stage) -> bool:
    """Whether a client gets an event stream of nothing with a time to retry, and Django offloads nothing."""
    [before] = idle_workers(stage)
    with SseClient(stage.port) as client:
        if client.head.get("Content-Type") != ["text/event-stream; charset=utf-8"]:
            return False
        client.read_all()
    [after] = idle_workers(stage)
    stays = (after.pid, after.offloaded) == (before.pid, before.offloaded)
    return stays and client.head.status == 200 and not client.events and 1000 <= (client.parser.retry_ms or 0) <= 3000


@pytest.mark.core
def test_backend_down_fixed_sends_retry_while_no_backend_runs(fixed):
    fixed.process("sse").stop()
    assert is_told_to_reconnect(fixed)


def test_backend_down_fixed_sends_retry_while_only_a_dead_socket_is_left(fixed):
    backend = fixed.process("sse")
    os.kill(backend.pid, signal.SIGKILL)
    wait_for(lambda: backend.status() is not None, TIMEOUT_S, "its end")
    assert (fixed.run / "sse.sock").exists()
    assert is_told_to_reconnect(fixed)


def test_backend_down_fixed_sends_retry_while_the_backend_is_stopped(fixed):
    [worker] = fixed.process("sse").workers()
    os.kill(worker.pid, signal.SIGSTOP)
    try:
        assert is_told_to_reconnect(fixed)
    finally:
        os.kill(worker.pid, signal.SIGCONT)


def test_backend_down_fixed_sends_retry_while_all_greenlets_are_taken(fixed):
    with EventSourcePool(fixed.port, 100) as streams:  # of sse.ini; a client that is refused on the way comes again
        # a ping of its own takes a greenlet for a moment
        wait_for(lambda: streams.open > 90 and is_told_to_reconnect(fixed), TIMEOUT_S, "no greenlet free")
