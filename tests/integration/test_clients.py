"""Bystanders and single requests, against servers that follow a script: whatever happens, they report it."""

import http.client
import socket
import threading
from contextlib import suppress

import pytest

from offload_lab.clients import Probes, fetch, fetch_raw, ping
from offload_lab.process.polling import wait_for
from offload_lab.process.server_process import free_port

HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: 8388608\r\n\r\n"


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
