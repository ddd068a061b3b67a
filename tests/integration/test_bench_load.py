"""The benchmark's load processes: what they open, count and survive."""

import os
import signal
import socket
import time
from contextlib import ExitStack
from types import SimpleNamespace

import pytest

from bench.load import probes as load_probes
from bench.load import readers as load_readers
from bench.load import streams as load_streams
from bench.load.streams import CONNECT_AT_ONCE, due_times
from bench.load_generator import LoadProcess
from bench.site.feeds import event
from bench.workloads import cost
from offload_lab.errors import LabError
from offload_lab.process.polling import wait_for

from .test_bench import TIMEOUT_S


@pytest.fixture
def streams():
    with LoadProcess("streams") as streams:
        yield streams


def answers_one_by_one(listener, count):
    """Accept `count` connections and answer each; their sockets."""
    sockets = [listener.accept()[0] for _ in range(count)]
    for connection in sockets:
        connection.recv(65536)
        connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
    return sockets


def test_a_load_process_opens_a_storm_and_still_replies(streams):
    count = 3 * CONNECT_AT_ONCE + 7
    with socket.create_server(("127.0.0.1", 0), backlog=1024) as listener, ExitStack() as exits:
        listener.settimeout(TIMEOUT_S)
        arguments = {"source": "127.0.0.2", "requests": ["GET / HTTP/1.1\r\n\r\n"], "count": count, "at_once": count}
        streams.ask("open", port=listener.getsockname()[1], **arguments)
        for connection in answers_one_by_one(listener, count):
            exits.enter_context(connection)
        wait_for(lambda: streams.ask("status")["established"] == count, TIMEOUT_S, "all of them")
        status = streams.ask("status")
        assert (status["waiting"], status["failures"], status["open"]) == (0, {}, count)
        assert status["last"] > 0


@pytest.fixture
def no_commands(monkeypatch):
    """For a load process that runs inside this one: its standard input stays silent."""
    reader, writer = os.pipe()
    monkeypatch.setattr("bench.load.loop.STDIN", reader)
    yield
    os.close(reader)
    os.close(writer)


def test_a_storm_is_opened_in_batches(no_commands):
    storm, count = load_streams.Streams(), 3 * CONNECT_AT_ONCE
    with storm.epoll, socket.create_server(("127.0.0.1", 0), backlog=1024) as listener:
        storm.do_open(listener.getsockname()[1], "127.0.0.2", ["GET /"], count, count)
        assert (storm.waiting, len(storm.streams)) == (CONNECT_AT_ONCE, CONNECT_AT_ONCE)
        storm.do_give_up()


def test_connections_that_cannot_begin_are_counted_as_failures(streams):
    """An address of another machine cannot be bound."""
    arguments = {"source": "192.0.2.1", "requests": ["GET / HTTP/1.1\r\n\r\n"], "count": 3, "at_once": 2}
    streams.ask("open", port=1, **arguments)
    wait_for(lambda: sum(streams.ask("status")["failures"].values()) == 3, TIMEOUT_S, "three failures")


def test_probes_and_readers_survive_a_lack_of_descriptors(monkeypatch, no_commands):
    def no_descriptor(*_, **__):
        raise OSError(24, "Too many open files")

    monkeypatch.setattr(load_probes, "connecting", no_descriptor)
    monkeypatch.setattr(load_readers, "connecting", no_descriptor)
    probes, readers = load_probes.Probes(), load_readers.Readers()
    probes.do_start(1, "GET /ping HTTP/1.1\r\n\r\n", 60.0)
    assert probes.do_waits() == {"sent": 1, "waits": []}
    readers.do_open(1, "GET /file HTTP/1.1\r\n\r\n", 2, 1.0)
    assert readers.do_status() == {"received": 0, "states": {"refused": 2}}
    probes.epoll.close()
    readers.epoll.close()


def test_half_a_reply_is_not_waited_for_for_ever(streams, monkeypatch):
    monkeypatch.setattr("bench.load_generator.REPLY_S", 0.2)
    reader, writer = os.pipe()
    os.write(writer, b'{"established": ')
    with open(reader, "rb", buffering=0) as half, monkeypatch.context() as patch:
        patch.setattr(streams._process, "stdout", half)
        with pytest.raises(LabError, match=r"sent no whole reply to cpu within 0\.2 s"):
            streams.ask("cpu")
    os.close(writer)


@pytest.mark.full
def test_a_load_process_that_does_not_end_is_killed(monkeypatch):
    monkeypatch.setattr("bench.load_generator.END_S", 5.0)
    with LoadProcess("streams") as streams:
        streams.ask("cpu")
        os.kill(streams._process.pid, signal.SIGSTOP)
    assert streams._process.returncode == -signal.SIGKILL


def test_an_event_cut_anywhere_is_noted_once():
    stream = event("3", 1234.3) + event("3", 1235.3)
    for cut in range(len(stream)):
        first, rest = due_times(stream[:cut])
        second, left = due_times(rest + stream[cut:])
        assert first + second == ["1234.3", "1235.3"]
        assert left == b""


def test_events_that_come_while_they_are_taken_are_not_counted():
    """CPU is no longer counted then: with many streams, taking them lasts a second."""
    read_at = []
    server = SimpleNamespace(cpu_s=lambda: {"front": read_at.append(time.monotonic()) or 1.0})
    takes = iter([dict, lambda: {read_at[0]: [0.0, 3600.0], read_at[1]: [0.0]}])
    streams = SimpleNamespace(cpu_s=lambda: 1.0, take=lambda: next(takes)())
    used, late, _ = cost(SimpleNamespace(server=server, streams=streams), 0.0)
    assert (used["counted_events"], sum(map(len, late.values()))) == (2, 3)
