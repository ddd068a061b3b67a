"""How connections end: what a client that leaves early costs, and what the others hear when the board stops."""

import os
import signal
import socket
import struct
from contextlib import contextmanager

import psutil
import pytest

from offload_lab.clients.websocket import CLOSE, PING, PONG, TEXT, close_frame, frame, upgrade_request
from offload_lab.inspect.socket_owners import find_socket_owners
from offload_lab.process.polling import wait_for

from .conftest import Board

RESET = struct.pack("ii", 1, 0)  # SO_LINGER: close() sends a reset instead of an end
EACH_VISIT = "you need to build uWSGI with SSL"  # in the native backend's log, on the wheel


class Logs:
    """What the front and the backend of a stage log from now on."""

    def __init__(self, stage: Board) -> None:
        self.logs = [stage.front.log, stage.processes[0].log]
        self.starts = [log.stat().st_size for log in self.logs]

    def lines(self) -> list[list[str]]:
        return [
            log.read_bytes()[start:].decode(errors="replace").splitlines()
            for log, start in zip(self.logs, self.starts, strict=True)
        ]

    def requests(self) -> list[int]:
        return [sum("GET /ws =>" in line for line in lines) for lines in self.lines()]

    def others(self) -> list[list[str]]:
        return [[line for line in lines if "=>" not in line and EACH_VISIT not in line] for lines in self.lines()]


@contextmanager
def suspended(process):
    workers = [psutil.Process(worker.pid) for worker in process.workers()]
    for worker in workers:
        worker.suspend()
    try:
        yield
    finally:
        for worker in workers:
            worker.resume()


def leave(stage: Board, connection: socket.socket, reset: bool) -> None:
    """Returns once the front has let go of the connection."""
    own_port = connection.getsockname()[1]
    if reset:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
    connection.close()
    wait_for(lambda: not find_socket_owners(stage.port, own_port, stage.front.pids()), 30, "the front's end closed")


def before_the_101(stage: Board, reset: bool, logs: Logs) -> None:
    connection = socket.create_connection(("127.0.0.1", stage.port), timeout=30)
    with suspended(stage.processes[0]):
        connection.sendall(upgrade_request(stage.port, "/ws", {"Cookie": stage.ada}))
        wait_for(lambda: logs.requests()[0] == 1, 30, "Django's answer")
        leave(stage, connection, reset)


def inside_a_frame(stage: Board, reset: bool, logs: Logs) -> None:
    client = stage.connect(stage.ada)
    client.send(frame(PING) + frame(TEXT, b"*" * 5000)[:2500])
    while client.receive().opcode != PONG:
        pass
    leave(stage, client.socket, reset)


def after_its_close_frame(stage: Board, reset: bool, logs: Logs) -> None:
    client = stage.connect(stage.ada)
    with suspended(stage.processes[0]):
        client.send(close_frame(1000))
        leave(stage, client.socket, reset)


@pytest.mark.parametrize("reset", [False, True], ids=["end", "reset"])
@pytest.mark.parametrize("departure", [before_the_101, inside_a_frame, after_its_close_frame])
@pytest.mark.parametrize("backend", ["offload", "native"])
def test_a_client_that_leaves_early_causes_one_log_line_at_most(backend, departure, reset, request):
    stage = request.getfixturevalue(backend)
    logs = Logs(stage)
    departure(stage, reset, logs)
    wait_for(lambda: logs.requests() == [1, 1], 30, "the end of the request in both logs")
    in_front, behind = logs.others()
    assert len(in_front) <= 1, in_front
    assert len(behind) <= 1, behind


def last_frame(client) -> tuple[int | None, bytes]:
    """The code and the reason of the Close frame that the server's end of the connection followed."""
    closed = None, b""
    while (received := client.receive()) is not None:
        closed = (received.code, received.payload[2:]) if received.opcode == CLOSE else (None, b"")
    return closed


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_backend_that_stops_or_reloads_closes_with_1001(number):
    with Board("offload") as stage, stage.connect(stage.ada) as ada, stage.connect(stage.grace) as grace:
        for client in (ada, grace):
            assert client.receive().opcode == TEXT
        os.kill(psutil.Process(stage.process("ws").workers()[0].pid).ppid(), number)
        assert [last_frame(client) for client in (ada, grace)] == [(1001, b"the board stops")] * 2


def test_the_native_backend_stops_without_a_close_frame():
    with Board("native") as stage, stage.connect(stage.ada) as ada:
        assert ada.receive() is not None
        stage.process("ws_native").stop()
        assert last_frame(ada) == (None, b"")


def test_a_client_that_ends_its_sending_side_is_cut_off(offload):
    with offload.connect(offload.ada) as ada:
        assert ada.receive().opcode == TEXT
        ada.socket.shutdown(socket.SHUT_WR)
        assert last_frame(ada) == (None, b"")


def test_a_client_that_never_answers_a_close_frame_is_disconnected():
    with Board("offload", close_s=0.5) as stage, stage.connect(stage.ada) as ada:
        ada.send(frame(TEXT, b"\xff"))
        assert last_frame(ada)[0] == 1007


def test_of_a_flood_of_pings_the_latest_is_answered(offload):
    with offload.connect(offload.ada) as ada:
        ada.send(b"".join(frame(PING, b"%d" % number) for number in range(20_000)))  # before reading any answer
        while (received := ada.receive()) is not None and received.payload != b"19999":
            assert received.opcode in (PONG, TEXT)
        assert received is not None
