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


class Hall:
    """A server whose clerk is `serve`: called in a thread of its own with each connection, which is closed after it."""

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

    def _start(self, target, *words):
        thread = threading.Thread(target=target, args=words, daemon=True)
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
    """A clerk who answers all of `parts`, one after the other."""

    def serve(connection):
        for part in parts:
            connection.sendall(part)

    return serve


def waits_for(event):
    """A clerk who says nothing before `event`, and then hangs up."""
    return lambda connection: event.wait(60)


# --- the slow reader


def test_a_reader_asks_for_the_path_on_a_connection_of_its_own():
    with Hall(says(HEAD)) as hall, SlowReader(hall.port, "/file?name=a") as reader:
        reader.done.wait(20)
    host = f"127.0.0.1:{hall.port}".encode()
    assert hall.requests == [b"GET /file?name=a HTTP/1.1\r\nHost: " + host + b"\r\nConnection: close\r\n\r\n"]


def test_a_reader_knows_the_head_before_the_rest():
    with Hall(says(HEAD[:20], HEAD[20:], BODY)) as hall, SlowReader(hall.port, "/file", rate_mib_s=1) as reader:
        assert reader.head == HEAD.removesuffix(b"\r\n\r\n")
        assert not reader.done.is_set()


def test_a_reader_is_slow_until_told_to_hurry():
    with Hall(says(HEAD, BODY)) as hall, SlowReader(hall.port, "/file", rate_mib_s=0.001) as reader:
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

    with Hall(serve) as hall, SlowReader(hall.port, "/file", rate_mib_s=0.001) as reader:
        wait_for(lambda: reader.received > len(HEAD), 20, "the first bytes")
        assert not sent.is_set()
        reader.hurry()
        assert sent.wait(60)


def test_a_close_before_the_headers_is_an_error_with_the_bytes_received():
    with Hall(says(b"HTTP/1.1 200 OK\r\nCont")) as hall, pytest.raises(ConnectionError, match=r"OK\\r\\nCont"):
        with SlowReader(hall.port, "/file"):
            pass


def test_a_close_in_the_middle_ends_the_transfer_without_an_error():
    """It is the one who counts bytes that can tell: `received` is all there was."""
    with Hall(says(HEAD, b"half of it")) as hall, SlowReader(hall.port, "/file") as reader:
        assert reader.done.wait(20)
    assert (reader.received, reader.error) == (len(HEAD) + 10, None)


def test_a_connection_that_breaks_is_recorded():
    def serve(connection):
        says(HEAD)(connection)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")  # closing resets it

    with Hall(serve) as hall, SlowReader(hall.port, "/file") as reader:
        assert reader.done.wait(20)
    assert "reset" in reader.error


def test_a_server_that_falls_silent_is_recorded():
    quiet = threading.Event()

    def serve(connection):
        says(HEAD)(connection)
        quiet.wait(60)

    with Hall(serve) as hall, SlowReader(hall.port, "/file", timeout_s=0.1) as reader:
        assert reader.done.wait(20)
        quiet.set()
    assert reader.error == "timed out"


def test_a_server_that_never_says_anything_is_a_timeout():
    quiet = threading.Event()
    with Hall(waits_for(quiet)) as hall:
        with pytest.raises(TimeoutError), SlowReader(hall.port, "/file", timeout_s=0.1):
            pass
        quiet.set()


def test_a_server_that_is_not_there_is_refused_and_leaves_no_socket():
    made = []

    class Known(socket.socket):
        def __init__(self, *words, **options):
            super().__init__(*words, **options)
            made.append(self)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(socket, "socket", Known)
        with pytest.raises(ConnectionRefusedError):
            SlowReader(free_port(), "/file")
    left = [one for one in made if one.fileno() != -1]
    for one in left:
        one.close()
    assert not left


def test_leaving_early_ends_the_transfer_without_an_error():
    with Hall(says(HEAD, BODY)) as hall, SlowReader(hall.port, "/file", rate_mib_s=0.001) as reader:
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

    with Hall(serve, patience_s=2) as hall:
        with SlowReader(hall.port, "/file", rate_mib_s=0.001):
            wait_for(waits_for_room, 20, "the server's kernel asking for room")
    [error] = hall.errors
    assert isinstance(error, ConnectionError)


# --- bystanders


PONG = b"HTTP/1.0 200 OK\r\nX-Worker-Pid: 4711\r\nContent-Length: 4\r\n\r\npong"


def crowd(port, enough):
    """Bystanders who come until `enough` of what they wrote down holds, and have left."""
    with Probes(port, every_s=0.01, timeout_s=20) as bystanders:
        wait_for(lambda: enough(bystanders.all), 20, "bystanders")
    return bystanders.all


def test_bystanders_write_down_when_and_by_whom_they_were_answered():
    with Hall(says(PONG)) as hall:
        everybody = crowd(hall.port, lambda them: len(them) >= 3)
    assert {(one.pid, one.error) for one in everybody} == {(4711, None)}
    assert all(one.answered > one.sent for one in everybody)
    assert sorted(everybody, key=lambda one: one.sent) == everybody


def test_bystanders_who_are_refused_write_down_why():
    everybody = crowd(free_port(), lambda them: len(them) >= 2)
    assert {(one.answered, one.pid) for one in everybody} == {(None, 0)}
    assert all("refused" in one.error for one in everybody)


def test_bystanders_who_get_an_empty_reply_write_down_that():
    with Hall(says()) as hall:
        everybody = crowd(hall.port, lambda them: any(one.error for one in them))
    assert all("no HTTP answer to /ping" in one.error for one in everybody)


def test_leaving_waits_for_answers_that_are_still_to_come():
    opened = threading.Event()

    def serve(connection):
        opened.wait(60)
        says(PONG)(connection)

    with Hall(serve) as hall, Probes(hall.port, every_s=0.01) as bystanders:
        wait_for(lambda: len(hall.requests) >= 2, 20, "two at the counter")
        bystanders.close()
        assert {one.answered for one in bystanders.all} == {None}
        opened.set()
    assert None not in {one.answered for one in bystanders.all}


def test_after_closing_nobody_new_comes():
    with Hall(says(PONG)) as hall, Probes(hall.port, every_s=0.001) as bystanders:
        wait_for(lambda: len(bystanders.all) >= 2, 20, "bystanders")
        bystanders.close()
        answered = len(bystanders.all)
    assert len(bystanders.all) == answered == len(hall.requests)


# --- one question


def test_a_ping_says_who_answered():
    with Hall(says(PONG)) as hall:
        pong = ping(hall.port, timeout_s=20)
    assert (pong.status, pong.pid) == (200, 4711)


def test_a_ping_whose_answerer_does_not_say_has_pid_0():
    with Hall(says(b"HTTP/1.0 503 Busy\r\n\r\n")) as hall:
        pong = ping(hall.port, timeout_s=20)
    assert (pong.status, pong.pid) == (503, 0)


@pytest.mark.parametrize("answer", [b"", b"SSH-2.0-OpenSSH_9.2\r\n", b"\x00\x01\x02", b"HTTP/1.1 OK\r\n\r\n"])
def test_a_ping_to_somebody_who_does_not_speak_http_is_a_connection_error(answer):
    with Hall(says(answer)) as hall, pytest.raises(ConnectionError, match="no HTTP answer to /ping"):
        ping(hall.port, timeout_s=20)


def test_a_ping_to_somebody_who_says_nothing_times_out():
    quiet = threading.Event()
    with Hall(waits_for(quiet)) as hall:
        with pytest.raises(TimeoutError):
            ping(hall.port, timeout_s=0.1)
        quiet.set()


def test_fetch_gives_status_headers_and_body():
    with Hall(says(b"HTTP/1.0 404 Not Found\r\nX-Hall: north\r\n\r\nnobody here")) as hall:
        answer = fetch(hall.port, "/lost", method="POST", headers={"X-Ticket": "7"})
    assert (answer.status, answer.headers["x-hall"], answer.body) == (404, "north", b"nobody here")
    assert hall.requests[0].startswith(b"POST /lost HTTP/1.1\r\n")
    assert b"\r\nConnection: close\r\nX-Ticket: 7\r\n" in hall.requests[0]


def test_fetch_says_that_a_reply_was_empty():
    with Hall(says()) as hall, pytest.raises(http.client.RemoteDisconnected):
        fetch(hall.port, "/")


def test_fetch_says_that_a_body_was_cut_short():
    with Hall(says(HEAD, b"half of it")) as hall, pytest.raises(http.client.IncompleteRead):
        fetch(hall.port, "/")


def test_fetch_raw_gives_every_byte_until_the_server_closes():
    with Hall(says(b"not even", b" HTTP")) as hall:
        assert fetch_raw(hall.port, b"hello\r\n") == b"not even HTTP"
    assert hall.requests == [b"hello\r\n"]
