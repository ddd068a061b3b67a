"""What goes wrong in a client's helper thread reaches the caller, and no server keeps a client for ever."""

import socket
import threading
from contextlib import contextmanager, suppress
from types import SimpleNamespace

import pytest

from offload_lab.clients import Probes, SlowReader, fetch, http, ping
from offload_lab.clients.event_source import AT_ONCE, EventSourcePool
from offload_lab.clients.event_stream import EventStreamParser
from offload_lab.clients.event_stream_pool import EventStreamPool
from offload_lab.clients.sse import SseClient
from offload_lab.clients.websocket import TEXT, WebSocketClient
from offload_lab.measure.streams import arrival_times
from offload_lab.process.background import Background
from offload_lab.process.polling import wait_for
from offload_lab.timeouts import VARIABLE

TIMEOUT_S = 30
STREAM = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n"
EVENT = b"data: a train\n\n"
SWITCHING = b"HTTP/1.1 101 Switching Protocols\r\n\r\n"
NO_HTTP = b"SSH-2.0-OpenSSH_9.2\r\n\r\n"


@contextmanager
def serving(*answers, then=lambda connection, left: None):
    """A port at which the nth connection gets the nth of `answers`, further ones the last one. `then` goes on with the
    connection; `left` is set when the block ends. Without a `then` the connection stays open until the client ends it,
    unless the answer is None: that is closed at once."""
    left, threads = threading.Event(), []

    def serve(connection, answer):
        with connection, suppress(OSError):
            connection.settimeout(TIMEOUT_S)
            connection.recv(65536)
            if answer is not None:
                connection.sendall(answer)
                then(connection, left)
                while connection.recv(65536):
                    pass

    def accept():
        with suppress(OSError):  # the listener was shut
            for number in range(10**6):
                connection, _ = listener.accept()
                answer = answers[min(number, len(answers) - 1)]
                threads.append(threading.Thread(target=serve, args=(connection, answer), daemon=True))
                threads[-1].start()

    with socket.create_server(("127.0.0.1", 0), backlog=200) as listener:
        threads.append(threading.Thread(target=accept, daemon=True))
        threads[0].start()
        try:
            yield listener.getsockname()[1]
        finally:
            left.set()
            listener.shutdown(socket.SHUT_RDWR)
            for thread in threads:
                thread.join(TIMEOUT_S)


def dribbles(piece):
    """Goes on with a piece now and then, for as long as the test lasts: no read ever takes long."""

    def then(connection, left):
        while not left.wait(0.01):
            connection.sendall(piece)

    return then


# --- many event streams


def test_streams_say_what_was_no_http_answer():
    with serving(NO_HTTP) as port, EventStreamPool(port, 2) as streams:
        with pytest.raises(ConnectionError, match=r"2 of 2 streams had fewer than 1 events.*2 ended: no HTTP.*SSH"):
            streams.wait_for_events(1, TIMEOUT_S)
        with pytest.raises(ConnectionError, match=r"none of 2 streams was answered.*no HTTP answer but b'SSH"):
            streams.wait_for_first(TIMEOUT_S)


def test_one_bad_answer_leaves_the_other_streams_alone():
    with serving(NO_HTTP, STREAM + EVENT) as port, EventStreamPool(port, 3) as streams:

        def seen():
            """How many events, how many errors."""
            return sum(one.events for one in streams.all), sum("no HTTP" in one.error for one in streams.all)

        wait_for(lambda: seen() == (2, 1), TIMEOUT_S, "the others' events, and one error")
        assert streams.open == 2


def test_streams_that_end_are_not_waited_for():
    with serving(None) as port, EventStreamPool(port, 3) as streams:
        with pytest.raises(ConnectionError, match=r"3 of 3 streams had fewer than 1 events.*0 are open, . ended"):
            streams.wait_for_events(1, TIMEOUT_S)


def test_a_refused_connection_is_named(unused_port):
    with EventStreamPool(unused_port, 2) as streams, pytest.raises(ConnectionError, match="Connection refused"):
        streams.wait_for_events(1, TIMEOUT_S)


@pytest.fixture
def unused_port():
    with socket.socket() as bound:  # and it does not listen
        bound.bind(("127.0.0.1", 0))
        yield bound.getsockname()[1]


def breaks(*_):
    raise ZeroDivisionError("in the thread")


def has_ended(name):
    return not any(thread.name.startswith(name) for thread in threading.enumerate())


def test_an_error_in_the_reading_thread_reaches_the_wait(monkeypatch):
    monkeypatch.setattr(EventStreamParser, "feed", breaks)
    with serving(STREAM + EVENT) as port, EventStreamPool(port, 1) as streams, pytest.raises(ZeroDivisionError):
        streams.wait_for_events(1, TIMEOUT_S)


def test_an_error_in_the_reading_thread_is_raised_where_the_block_is_left(monkeypatch):
    monkeypatch.setattr(EventStreamParser, "feed", breaks)
    with serving(STREAM + EVENT) as port, pytest.raises(ZeroDivisionError), EventStreamPool(port, 1):
        wait_for(lambda: has_ended("the reader of 1"), TIMEOUT_S, "the end of the thread")


def test_an_error_in_the_block_is_not_replaced_by_the_threads(monkeypatch):
    monkeypatch.setattr(EventStreamParser, "feed", breaks)
    with serving(STREAM + EVENT) as port, pytest.raises(TimeoutError, match="in the block"), EventStreamPool(port, 1):
        wait_for(lambda: has_ended("the reader of 1") and False, 0.5, "in the block")


def test_connections_that_are_not_accepted_do_not_keep_open_streams_unread():
    with socket.create_server(("127.0.0.1", 0), backlog=0) as listener:
        with EventStreamPool(listener.getsockname()[1], 5) as streams:
            connection, _ = listener.accept()
            with connection:
                connection.recv(65536)
                connection.sendall(STREAM + EVENT)
                wait_for(lambda: len(streams.all) == 5, TIMEOUT_S, "all on their way: the queue holds one")
                before = streams.open
                connection.sendall(2 * EVENT)
                wait_for(lambda: max(stream.events for stream in streams.all) == 3, TIMEOUT_S, "the open one's events")
        assert before <= 1


class Counted(list):
    """Counts how often somebody goes through it."""

    walks = 0

    def __iter__(self):
        Counted.walks += 1
        return super().__iter__()


def test_streams_are_not_walked_through_at_each_wake_up():
    with serving(STREAM, then=dribbles(EVENT)) as port:
        streams = EventStreamPool(port, 20)
        streams.all = Counted()
        with streams:
            streams.wait_for_events(20, TIMEOUT_S)
    assert Counted.walks == 0


def test_subscribers_are_not_walked_through_at_each_wake_up():
    with serving(STREAM, then=dribbles(EVENT)) as port:
        subscribers = EventSourcePool(port, 5)
        clients, subscribers.all, Counted.walks = subscribers.all, Counted(subscribers.all), 0
        with subscribers:
            wait_for(lambda: all(len(client.events) > 20 for client in clients), TIMEOUT_S, "20 events each")
    assert Counted.walks == 0


def test_an_error_in_the_thread_of_subscribers_reaches_the_wait(monkeypatch):
    monkeypatch.setattr(EventStreamParser, "feed", breaks)
    with serving(STREAM + EVENT) as port, EventSourcePool(port, 1) as subscribers, pytest.raises(ZeroDivisionError):
        subscribers.wait_until_all(lambda client: client.events, TIMEOUT_S, "an event")


def test_subscribers_who_gave_up_leave_their_place_to_others():
    with serving(b"HTTP/1.1 403 Forbidden\r\n\r\n") as port, EventSourcePool(port, AT_ONCE + 5) as subscribers:
        subscribers.wait_until_all(lambda client: client.given_up, TIMEOUT_S, "refused")
        assert subscribers.open == 0


# --- servers that dribble


WAITS = {
    "a ping": lambda port: ping(port, 0.3),
    "the headers of a stream": lambda port: SseClient(port, timeout_s=0.3).__enter__(),
    "the headers of a download": lambda port: SlowReader(port, "/", timeout_s=0.3).__enter__(),
    "the headers of a WebSocket": lambda port: WebSocketClient(port, timeout_s=0.3),
}


@pytest.mark.parametrize("what", WAITS)
def test_a_server_that_dribbles_its_headers_does_not_keep_a_client(what):
    with serving(b"HTTP/1.1 200 OK\r\nX-Long: ", then=dribbles(b"x")) as port, pytest.raises(TimeoutError):
        WAITS[what](port)


def test_a_body_without_end_is_not_waited_for_for_ever(monkeypatch):
    monkeypatch.setattr(http, "TIMEOUT_S", 0.3)
    with serving(b"HTTP/1.1 200 OK\r\n\r\n", then=dribbles(b"x")) as port:
        with pytest.raises(TimeoutError, match="the whole answer"):
            fetch(port, "/", timeout_s=0.3)
        with pytest.raises(TimeoutError, match="the whole answer"):
            http.fetch_raw(port, b"GET / HTTP/1.1\r\n\r\n")


def test_comments_without_end_are_no_event(monkeypatch):
    monkeypatch.setenv(VARIABLE, "2")  # the load may change between two readings
    with serving(STREAM, then=dribbles(b":\n")) as port, SseClient(port, timeout_s=0.3) as client:
        with pytest.raises(TimeoutError, match=r"event 1: timed out after 0\.6 s"):
            client.next()


def test_half_a_frame_is_not_waited_for_for_ever():
    long_one = bytes([0x80 | TEXT, 127]) + (10**9).to_bytes(8)
    with serving(SWITCHING + long_one, then=dribbles(b"x")) as port, WebSocketClient(port, timeout_s=0.3) as client:
        with pytest.raises(TimeoutError, match="the next frame"):
            client.receive()


# --- bystanders, and helper threads as such


def test_a_bystander_whose_answer_makes_no_sense_writes_down_why():
    with serving(b"HTTP/1.0 200 OK\r\nX-Worker-Pid: none\r\nContent-Length: 0\r\n\r\n") as port:
        with Probes(port, every_s=0.01, timeout_s=TIMEOUT_S) as bystanders:
            wait_for(lambda: any(probe.error for probe in bystanders.all), TIMEOUT_S, "an error")
    assert "no HTTP answer to /ping" in bystanders.all[0].error


def test_bystanders_who_cannot_be_sent_are_an_error(monkeypatch):
    monkeypatch.setattr("offload_lab.clients.probe.Probe", breaks)
    with pytest.raises(ZeroDivisionError), Probes(1, every_s=0.001):
        wait_for(lambda: has_ended("the source"), TIMEOUT_S, "the end of the thread")


def test_notes_that_cannot_be_taken_are_an_error():
    class Fickle:
        """Its events can be read once."""

        reads = 0

        @property
        def events(self):
            self.reads += 1
            return self.reads if self.reads < 2 else breaks()

    with pytest.raises(ZeroDivisionError), arrival_times(SimpleNamespace(all=[Fickle()])):
        wait_for(lambda: has_ended("the recorder"), TIMEOUT_S, "the end of the thread")


def test_a_helper_thread_that_does_not_end_is_named(monkeypatch):
    monkeypatch.setenv(VARIABLE, "2")
    never = threading.Event()
    with pytest.raises(TimeoutError, match=r"the deaf one did not end within 0\.2 s"):
        with Background("the deaf one", never.wait, lambda: None, join_s=0.1):
            pass
    never.set()
