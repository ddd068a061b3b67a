"""The bad network of these tests: it passes on what comes, and it is never waited for for ever."""

import importlib.util
import socket
import threading
from pathlib import Path

import pytest

TIMEOUT_S = 30


def load():
    spec = importlib.util.spec_from_file_location("relay_under_test", Path(__file__).parents[1] / "relay.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


RELAY = load()


@pytest.fixture
def target():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(TIMEOUT_S)
        yield listener


def test_the_relay_passes_bytes_on_except_while_it_is_cut(target):
    with RELAY.Relay(target.getsockname()[1]) as relay:
        with socket.create_connection(("127.0.0.1", relay.port), TIMEOUT_S) as client:
            client.sendall(b"hello")
            behind, _ = target.accept()
            with behind:
                assert behind.recv(100) == b"hello"
                relay.cut()
                client.sendall(b"lost")
                relay.restore()
                with pytest.raises(ConnectionResetError):
                    client.recv(100)


def test_a_cut_that_never_happens_is_an_error(target, monkeypatch):
    stuck, go_on = threading.Event(), threading.Event()

    def never_done(self):
        stuck.set()
        go_on.wait(TIMEOUT_S)

    monkeypatch.setattr(RELAY.Relay, "_accept", never_done)
    with RELAY.Relay(target.getsockname()[1]) as relay, socket.create_connection(("127.0.0.1", relay.port)):
        assert stuck.wait(TIMEOUT_S)
        with pytest.raises(TimeoutError, match=r"the relay is still busy after 0\.1 s"):
            relay.cut(timeout_s=0.1)
        go_on.set()


def test_what_ended_the_relays_thread_is_the_cuts_error(target, monkeypatch):
    called = threading.Event()

    def breaks(self):
        called.set()
        raise ZeroDivisionError

    monkeypatch.setattr(RELAY.Relay, "_accept", breaks)
    with RELAY.Relay(target.getsockname()[1]) as relay, socket.create_connection(("127.0.0.1", relay.port)):
        assert called.wait(TIMEOUT_S)
        with pytest.raises(ZeroDivisionError):
            relay.cut()
