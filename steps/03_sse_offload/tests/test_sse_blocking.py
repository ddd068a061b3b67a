"""blocking.ini, the contrary by cause and effect: an open stream keeps every other request from being served."""

import socket
from contextlib import closing

import pytest

from offload_lab.clients.sse import request_bytes
from offload_lab.process.polling import wait_for
from offload_lab.testing import idle_workers
from offload_lab.timeouts import scaled

from .conftest import TIMEOUT_S

pytestmark = pytest.mark.parametrize("stage", ["blocking"], indirect=True)


def asks(stage, path, cookie=""):
    client = socket.create_connection(("127.0.0.1", stage.port), scaled(TIMEOUT_S))
    client.sendall(request_bytes(stage.port, path, cookie))
    return closing(client)


def has_nothing(client):
    client.setblocking(False)
    with pytest.raises(BlockingIOError):
        client.recv(1)
    client.settimeout(scaled(TIMEOUT_S))
    return True


@pytest.mark.core
def test_a_bystander_is_answered_when_the_stream_ends_and_not_before(stage):
    [before] = idle_workers(stage)
    with stage.subscribe() as ada:
        ada.next()
        with asks(stage, "/ping") as bystander:
            for _ in range(5):
                ada.next()  # the worker is at work, for ada
                assert has_nothing(bystander)
            [during] = stage.workers()
            assert (during.busy, during.requests, during.offloaded) == (True, before.requests, 0)
            ada.close()
            assert bystander.recv(65536).endswith(b"pong")
    wait_for(lambda: not stage.workers()[0].busy, TIMEOUT_S, "the worker idle")


def test_the_second_stream_begins_when_the_first_has_ended(stage):
    with stage.subscribe() as ada:
        ada.next()
        with asks(stage, "/subscribe", stage.ada.cookie) as second:
            ada.next(), ada.next()
            assert has_nothing(second)
            ada.close()
            assert second.recv(65536).startswith(b"HTTP/1.1 200 OK")


def test_the_stream_is_the_same_that_the_gevent_app_sends(stage):
    with stage.subscribe() as ada:
        ada.next()
    assert ada.body.startswith(b'retry: 1000\nid: 1\nevent: ticket\ndata: {\ndata:  "for": "ada",\n')
    assert ada.head.get("Content-Type") == ["text/event-stream"]
