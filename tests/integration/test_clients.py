"""The clients, against servers that follow a script: whatever happens, they report it."""

import http.client
import socket
import sys
import threading
from contextlib import suppress

import pytest

from offload_lab.clients import Probes, SlowReader, fetch, fetch_raw, ping
from offload_lab.process.polling import wait_for
from offload_lab.process.server_process import free_port

HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: 8388608\r\n\r\n"
BODY = b"one ticket, please. " * 2**16  # more than all the buffers on the way take


class ScriptedServer:
    """Calls `serve` with each connection, in a thread of its own, and then closes the connection."""

    def __init__(self, serve, patience_s=60):
        self.requests = []
        self.errors = []
        self._serve, self._patience_s = serve, patience_s
        self._threads = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]

    def _accept(self):
        with suppress(OSError):  # the listener was shut
            while True:
                connection, _ = self._listener.accept()
                self._start(self._talk, connection)

    def _start(self, target, *arguments):
        thread = threading.Thread(target=target, args=arguments, daemon=True)
        thread.start()
        self._threads.append(thread)

    def _talk(self, connection):
        with connection:
            connection.settimeout(self._patience_s)
            try:
                self.requests.append(connection.recv(65536))
                self._serve(connection)
            except OSError as error:
                self.errors.append(error)

    def __enter__(self):
        self._start(self._accept)
        return self

    def __exit__(self, *_):
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for thread in self._threads:
            thread.join()


def says(*parts):
    """A `serve` that sends all of `parts`, one after the other."""

    def serve(connection):
        for part in parts:
            connection.sendall(part)

    return serve


def waits_for(event):
    """A `serve` that sends nothing, and returns after `event`."""
    return lambda connection: event.wait(60)


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

    with ScriptedServer(serve) as server, SlowReader(server.port, "/file", timeout_s=0.1) as reader:
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

    with ScriptedServer(serve, patience_s=2) as server:
        with SlowReader(server.port, "/file", rate_mib_s=0.001):
            wait_for(waits_for_room, 20, "the server's kernel asking for room")
    [error] = server.errors
    assert isinstance(error, ConnectionError)


# --- bystanders


PONG = b"HTTP/1.0 200 OK\r\nX-Worker-Pid: 4711\r\nContent-Length: 4\r\n\r\npong"


def crowd(port, enough):
    """Bystanders who come until `enough` of what they wrote down holds, and have left."""
    with Probes(port, every_s=0.01, timeout_s=20) as bystanders:
        wait_for(lambda: enough(bystanders.all), 20, "bystanders")
    return bystanders.all


def test_bystanders_write_down_when_and_by_whom_they_were_answered():
    with ScriptedServer(says(PONG)) as server:
        probes = crowd(server.port, lambda probes: len(probes) >= 3)
    assert {(probe.pid, probe.error) for probe in probes} == {(4711, None)}
    assert all(probe.answered > probe.sent for probe in probes)
    assert sorted(probes, key=lambda probe: probe.sent) == probes


def test_bystanders_who_are_refused_write_down_why():
    probes = crowd(free_port(), lambda probes: len(probes) >= 2)
    assert {(probe.answered, probe.pid) for probe in probes} == {(None, 0)}
    assert all("refused" in probe.error for probe in probes)


def test_bystanders_who_get_an_empty_reply_write_down_that():
    with ScriptedServer(says()) as server:
        probes = crowd(server.port, lambda probes: any(probe.error for probe in probes))
    assert all("no HTTP answer to /ping" in probe.error for probe in probes)


def test_leaving_waits_for_answers_that_are_still_to_come():
    opened = threading.Event()

    def serve(connection):
        opened.wait(60)
        says(PONG)(connection)

    with ScriptedServer(serve) as server, Probes(server.port, every_s=0.01) as bystanders:
        wait_for(lambda: len(server.requests) >= 2, 20, "two requests")
        bystanders.close()
        assert {probe.answered for probe in bystanders.all} == {None}
        opened.set()
    assert None not in {probe.answered for probe in bystanders.all}


def test_after_closing_nobody_new_comes():
    with ScriptedServer(says(PONG)) as server, Probes(server.port, every_s=0.001) as bystanders:
        wait_for(lambda: len(bystanders.all) >= 2, 20, "bystanders")
        bystanders.close()
        answered = len(bystanders.all)
    assert len(bystanders.all) == answered == len(server.requests)


# --- one question


def test_a_ping_says_who_answered():
    with ScriptedServer(says(PONG)) as server:
        pong = ping(server.port, timeout_s=20)
    assert (pong.status, pong.pid) == (200, 4711)


def test_a_ping_whose_answerer_does_not_say_has_pid_0():
    with ScriptedServer(says(b"HTTP/1.0 503 Busy\r\n\r\n")) as server:
        pong = ping(server.port, timeout_s=20)
    assert (pong.status, pong.pid) == (503, 0)


@pytest.mark.parametrize("answer", [b"", b"SSH-2.0-OpenSSH_9.2\r\n", b"\x00\x01\x02", b"HTTP/1.1 OK\r\n\r\n"])
def test_a_ping_to_somebody_who_does_not_speak_http_is_a_connection_error(answer):
    with ScriptedServer(says(answer)) as server, pytest.raises(ConnectionError, match="no HTTP answer to /ping"):
        ping(server.port, timeout_s=20)


def test_a_ping_to_somebody_who_says_nothing_times_out():
    quiet = threading.Event()
    with ScriptedServer(waits_for(quiet)) as server:
        with pytest.raises(TimeoutError):
            ping(server.port, timeout_s=0.1)
        quiet.set()


def test_fetch_gives_status_headers_and_body():
    with ScriptedServer(says(b"HTTP/1.0 404 Not Found\r\nX-Room: north\r\n\r\nnot found")) as server:
        answer = fetch(server.port, "/lost", method="POST", headers={"X-Ticket": "7"})
    assert (answer.status, answer.headers["x-room"], answer.body) == (404, "north", b"not found")
    assert server.requests[0].startswith(b"POST /lost HTTP/1.1\r\n")
    assert b"\r\nConnection: close\r\nX-Ticket: 7\r\n" in server.requests[0]


def test_fetch_says_that_a_reply_was_empty():
    with ScriptedServer(says()) as server, pytest.raises(http.client.RemoteDisconnected):
        fetch(server.port, "/")


def test_fetch_says_that_a_body_was_cut_short():
    with ScriptedServer(says(HEAD, b"half of it")) as server, pytest.raises(http.client.IncompleteRead):
        fetch(server.port, "/")


def test_fetch_raw_gives_every_byte_until_the_server_closes():
    with ScriptedServer(says(b"not even", b" HTTP")) as server:
        assert fetch_raw(server.port, b"hello\r\n") == b"not even HTTP"
    assert server.requests == [b"hello\r\n"]
