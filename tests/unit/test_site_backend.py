"""Django's look before an offload: what counts as there, how long it waits, and what a client is told otherwise."""

import re
import socket
import threading
from contextlib import closing, contextmanager

import pytest

from offload_lab.stages.site import backend
from offload_lab.stages.stage import short_private_folder

TIMEOUT_S = 20
ANSWERS = {"uwsgi": backend.PINGS["uwsgi"], "http": b"HTTP/1.0 503 Service Unavailable\r\n\r\n"}


@pytest.fixture
def path():
    folder = short_private_folder()
    yield folder / "backend.sock"
    for left in folder.iterdir():
        left.unlink()
    folder.rmdir()


@contextmanager
def listening(path, *, backlog=8):
    """A listener that accepts nothing by itself."""
    with closing(socket.socket(socket.AF_UNIX)) as listener:
        listener.bind(str(path))
        listener.listen(backlog)
        listener.settimeout(TIMEOUT_S)
        yield listener


@contextmanager
def answering(listener, answer):
    """`listener` answers one connection; yields the list that its request is put into."""
    received = []

    def serve():
        connection, _ = listener.accept()
        with connection:
            received.append(connection.recv(4096))
            connection.sendall(answer)

    thread = threading.Thread(target=serve)
    thread.start()
    yield received
    thread.join()


@pytest.fixture
def patient(monkeypatch):
    monkeypatch.setattr(backend, "ANSWER_S", TIMEOUT_S)


@pytest.mark.parametrize("protocol", ["uwsgi", "http"])
def test_a_backend_that_answers_its_protocols_ping_is_ready(path, protocol, patient):
    with listening(path) as listener, answering(listener, ANSWERS[protocol]) as received:
        assert backend.is_ready(f"{protocol}:{path}")
    assert received == [backend.PINGS[protocol]]


def test_a_backend_at_a_tcp_address_is_asked_there(patient):
    with closing(socket.create_server(("127.0.0.1", 0))) as listener, answering(listener, ANSWERS["uwsgi"]):
        assert backend.is_ready("uwsgi:127.0.0.1:{1}".format(*listener.getsockname()))


def test_a_socket_that_nothing_listens_on_is_not_ready(path):
    assert not backend.is_ready(f"uwsgi:{path}")
    with listening(path):
        pass
    assert path.exists(), "what a killed process leaves"
    assert not backend.is_ready(f"uwsgi:{path}")


def test_a_connection_that_ends_without_an_answer_is_not_ready(path):
    with listening(path) as listener, answering(listener, b""):
        assert not backend.is_ready(f"uwsgi:{path}")


def test_a_silent_backend_makes_one_request_wait_and_not_the_next(path, monkeypatch):
    monkeypatch.setattr(backend, "SILENCE_S", TIMEOUT_S)
    with listening(path) as listener:
        assert not backend.is_ready(f"uwsgi:{path}")
        listener.accept()[0].close()
        assert not backend.is_ready(f"uwsgi:{path}")
        listener.setblocking(False)
        with pytest.raises(BlockingIOError):
            listener.accept()


def test_a_silence_is_remembered_for_that_backend_only_and_not_for_ever(path, monkeypatch):
    monkeypatch.setattr(backend, "SILENCE_S", 0.0)
    other = path.with_name("other.sock")
    with listening(path) as listener, listening(other) as second:
        assert not backend.is_ready(f"uwsgi:{path}")
        monkeypatch.setattr(backend, "ANSWER_S", TIMEOUT_S)
        with answering(second, ANSWERS["uwsgi"]):
            assert backend.is_ready(f"uwsgi:{other}")
        listener.accept()[0].close()
        with answering(listener, ANSWERS["uwsgi"]):
            assert backend.is_ready(f"uwsgi:{path}")


def test_a_full_listen_queue_is_known_without_waiting(path, monkeypatch):
    monkeypatch.setattr(backend, "ANSWER_S", 3600)
    with listening(path, backlog=0), closing(socket.socket(socket.AF_UNIX)) as first:
        first.connect(str(path))
        assert not backend.is_ready(f"uwsgi:{path}")


def test_the_answer_meanwhile_has_a_time_for_each_client_and_no_event():
    bodies = [backend.again("not now").decode() for _ in range(50)]
    retries = {int(re.fullmatch(r"retry: (\d+)\n: not now\n", body)[1]) for body in bodies}
    assert len(retries) > 10
    assert backend.RETRY_MS[0] <= min(retries) <= max(retries) <= backend.RETRY_MS[1]
    assert backend.AGAIN_HEADERS["Content-Type"].startswith("text/event-stream;")
