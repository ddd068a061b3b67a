"""Many WebSockets in one thread, against servers that break the protocol."""

import socket
import struct

import pytest

from offload_lab.clients.websocket import PING, TEXT, Frames, HandshakeError, WebSocketClient, WebSocketPool
from offload_lab.process.polling import wait_for

from .test_clients_threads import NO_HTTP, SWITCHING, TIMEOUT_S, breaks, dribbles, serving


def ping_frame(payload=b""):
    return bytes([0x80 | PING, len(payload)]) + payload


def test_a_crowd_counts_a_connection_that_breaks_at_its_pong_as_lost(monkeypatch):
    def send(self, data):
        raise BrokenPipeError(32, "Broken pipe")

    text = bytes([0x80 | TEXT, 2]) + b"hi"
    with serving(SWITCHING, then=dribbles(ping_frame() + text)) as port, WebSocketPool(port, 2, {}) as crowd:
        monkeypatch.setattr(WebSocketClient, "send", send)
        wait_for(lambda: crowd.lost == 2, TIMEOUT_S, "both lost")
        with pytest.raises(TimeoutError, match=r"lost: \{'Broken pipe': 2\}"):
            crowd.wait_for(10**9, 0.1)


def test_a_connection_that_is_reset_is_lost_too():
    def resets(connection, left):
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        connection.sendall(ping_frame())
        connection.close()

    with serving(SWITCHING, then=resets) as port, WebSocketPool(port, 1, {}) as crowd:
        wait_for(lambda: crowd.lost == 1, TIMEOUT_S, "it lost")


def test_an_error_in_the_thread_of_a_crowd_reaches_the_wait(monkeypatch):
    with serving(SWITCHING, then=dribbles(ping_frame())) as port, WebSocketPool(port, 1, {}) as crowd:
        monkeypatch.setattr(Frames, "feed", breaks)
        with pytest.raises(ZeroDivisionError):
            crowd.wait_for(1, TIMEOUT_S)


def test_a_refusal_on_a_connection_that_stays_open_is_a_refusal():
    refusal = b"HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno"
    with serving(refusal) as port, pytest.raises(HandshakeError, match="no WebSocket but 403: 'no'"):
        WebSocketClient(port)


def test_a_handshake_that_is_answered_with_no_http_is_named():
    with serving(NO_HTTP) as port, pytest.raises(ConnectionError, match="no HTTP answer but b'SSH"):
        WebSocketClient(port)
