"""A client that reads slowly, against servers that follow a script."""

import socket
import sys
import threading

import pytest

from offload_lab.clients import SlowReader
from offload_lab.process.polling import wait_for
from offload_lab.process.server_process import free_port

from .test_clients import HEAD, ScriptedServer, says, waits_for

BODY = b"one ticket, please. " * 2**16  # more than all the buffers on the way take


# --- the slow reader


def test_a_reader_asks_for_the_path_on_a_connection_of_its_own():
    with ScriptedServer(says(HEAD)) as server, SlowReader(server.port, "/file?name=a") as reader:
        reader.done.wait(20)
    host = f"127.0.0.1:{server.port}".encode()
    assert server.requests == [b"GET /file?name=a HTTP/1.1\r\nHost: " + host + b"\r\nConnection: close\r\n\r\n"]


def test_a_reader_knows_the_head_before_the_rest():
    with (
        ScriptedServer(says(HEAD[:20], HEAD[20:], BODY)) as server,
        SlowReader(server.port, "/file", rate_mib_s=1) as reader,
    ):
        assert reader.head == HEAD.removesuffix(b"\r\n\r\n")
        assert not reader.done.is_set()


def test_a_reader_is_slow_until_told_to_hurry():
    with ScriptedServer(says(HEAD, BODY)) as server, SlowReader(server.port, "/file", rate_mib_s=0.001) as reader:
        wait_for(lambda: reader.received > len(HEAD), 20, "the first bytes")
        assert not reader.done.is_set()
        reader.hurry()
        assert reader.done.wait(20)
        assert (reader.received, reader.error) == (len(HEAD + BODY), None)


def test_a_server_is_kept_waiting_by_a_reader_who_is_slow():
    sent = threading.Event()

    def serve(connection):
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 65536)
        says(HEAD, BODY * 8)(connection)
        sent.set()

    with ScriptedServer(serve) as server, SlowReader(server.port, "/file", rate_mib_s=0.001) as reader:
        wait_for(lambda: reader.received > len(HEAD), 20, "the first bytes")
        assert not sent.is_set()
        reader.hurry()
        assert sent.wait(60)


def test_a_close_before_the_headers_is_an_error_with_the_bytes_received():
    with (
        ScriptedServer(says(b"HTTP/1.1 200 OK\r\nCont")) as server,
        pytest.raises(ConnectionError, match=r"OK\\r\\nCont"),
    ):
        with SlowReader(server.port, "/file"):
            pass


def test_a_close_in_the_middle_ends_the_transfer_without_an_error():
    """It is the one who counts bytes that can tell: `received` is all there was."""
    with ScriptedServer(says(HEAD, b"half of it")) as server, SlowReader(server.port, "/file") as reader:
        assert reader.done.wait(20)
    assert (reader.received, reader.error) == (len(HEAD) + 10, None)


def test_a_connection_that_breaks_is_recorded():
    def serve(connection):
        says(HEAD)(connection)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")  # closing resets it

    with ScriptedServer(serve) as server, SlowReader(server.port, "/file") as reader:
        assert reader.done.wait(20)
    assert "reset" in reader.error


def test_a_server_that_falls_silent_is_recorded():
    quiet = threading.Event()

    def serve(connection):
        says(HEAD)(connection)
        quiet.wait(60)

    with ScriptedServer(serve) as server, SlowReader(server.port, "/file", timeout_s=1) as reader:
        assert reader.done.wait(20)
        quiet.set()
    assert reader.error == "timed out"


def test_a_server_that_never_says_anything_is_a_timeout():
    quiet = threading.Event()
    with ScriptedServer(waits_for(quiet)) as server:
        with pytest.raises(TimeoutError), SlowReader(server.port, "/file", timeout_s=0.1):
            pass
        quiet.set()


def test_a_server_that_is_not_there_is_refused_and_leaves_no_socket():
    made = []

    class Known(socket.socket):
        def __init__(self, *arguments, **options):
            super().__init__(*arguments, **options)
            made.append(self)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(socket, "socket", Known)
        with pytest.raises(ConnectionRefusedError):
            SlowReader(free_port(), "/file")
    left = [connection for connection in made if connection.fileno() != -1]
    for connection in left:
        connection.close()
    assert not left


def test_leaving_early_ends_the_transfer_without_an_error():
    with ScriptedServer(says(HEAD, BODY)) as server, SlowReader(server.port, "/file", rate_mib_s=0.001) as reader:
        assert not reader.done.is_set()
    assert reader.done.is_set()
    assert reader.error is None


@pytest.mark.skipif(sys.platform != "linux", reason="TCP_INFO, tcp(7), is Linux's")
def test_a_blocked_server_notices_at_once_that_the_reader_disconnected():
    serving = []

    def serve(connection):
        serving.append(connection)
        says(HEAD, BODY * 8)(connection)

    def waits_for_room():
        probes = serving[0].getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 4)[3]
        return probes > 0

    with ScriptedServer(serve) as server:
        with SlowReader(server.port, "/file", rate_mib_s=0.001):
            wait_for(waits_for_room, 20, "the server's kernel asking for room")
    [error] = server.errors
    assert isinstance(error, ConnectionError)
