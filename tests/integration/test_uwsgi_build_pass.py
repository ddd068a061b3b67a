"""uwsgi_build/patches, `passuwsgi`: an offload thread passes the client's socket. The test is the backend."""

import os
import socket

import pytest

from offload_lab.clients.sse import request_bytes
from offload_lab.errors import ProcessDiedError
from offload_lab.process.polling import wait_for
from offload_lab.timeouts import scaled

from .conftest import EVENT, HEADERS, TIMEOUT_S, descriptors, receive, running_front

pytestmark = pytest.mark.full

PASS = ["--route", "^/subscribe passuwsgi:{run}/sse.sock,0,0"]


def variables(backend):
    """The request up to its last byte; a descriptor that comes with an earlier byte is lost."""
    size = int.from_bytes(receive(backend, 4)[1:3], "little")
    return receive(backend, size - 1)


def passed(backend):
    """The client's socket, which comes with the last byte."""
    byte, descriptors, *_ = socket.recv_fds(backend, 9, 2)
    assert len(byte) == len(descriptors) == 1
    return socket.socket(fileno=descriptors[0])


def test_the_socket_comes_with_the_last_byte_and_outlives_the_front():
    with running_front("built", *PASS) as front:
        before = descriptors(front.server)
        client, backend = front.request(), front.accept()
        assert b"/subscribe" in variables(backend)
        with passed(backend) as passed_socket:
            backend.close()  # as the backend does when it puts the client in the place of the connection
            wait_for(lambda: descriptors(front.server) == before, TIMEOUT_S, "a front without the client")
            assert front.answers()
            passed_socket.sendall(HEADERS)
            assert receive(client, len(HEADERS)) == HEADERS
            front.server.stop()
            passed_socket.sendall(EVENT)
            assert receive(client, len(EVENT)) == EVENT
        assert receive(client) == b"", "no other process holds the socket"


def test_a_long_request_comes_whole_before_its_socket():
    with running_front("built", *PASS) as front, socket.create_connection(("127.0.0.1", front.server.port)) as client:
        long = os.urandom(6 * 1024).hex()
        client.sendall(request_bytes(front.server.port, "/subscribe", cookie=f"{long};"))
        backend = front.accept()
        assert long.encode() in variables(backend)
        passed(backend).close()


def post(front, *with_headers, announced=b"Content-Length: 10"):
    """A client that has announced a body of ten bytes."""
    client = front.exits.enter_context(socket.create_connection(("127.0.0.1", front.server.port), scaled(TIMEOUT_S)))
    client.sendall(b"\r\n".join([b"POST /subscribe HTTP/1.1", b"Host: front", announced, b"", *with_headers]))
    return client


def test_a_client_that_has_begun_its_body_is_proxied():
    with running_front("built", *PASS) as front:
        client, backend = post(front, b"01234"), front.accept()
        variables(backend)
        last, descriptors, *_ = socket.recv_fds(backend, 1, 2)
        assert (len(last), descriptors) == (1, [])
        assert receive(backend, 5) == b"01234"
        client.sendall(b"56789")
        assert receive(backend, 5) == b"56789"
        backend.sendall(HEADERS)
        assert receive(client, len(HEADERS)) == HEADERS


@pytest.mark.parametrize("announced", [b"Content-Length: 10", b"Transfer-Encoding: chunked"])
def test_a_client_with_a_body_is_proxied(announced):
    """A backend that did not take its socket would wait for the body."""
    with running_front("built", *PASS) as front:
        client, backend = post(front, b"", announced=announced), front.accept()
        variables(backend)
        last, descriptors, *_ = socket.recv_fds(backend, 1, 2)
        assert (len(last), descriptors) == (1, [])
        client.sendall(b"0123456789")
        assert receive(backend, 10) == b"0123456789"


def test_a_client_whose_socket_is_not_taken_is_proxied():
    """As by a uWSGI without this patch, which does not ask for descriptors: the kernel closes them."""
    with running_front("built", *PASS) as front:
        client, backend = front.request(), front.accept()
        variables(backend)
        receive(backend, 1)
        backend.sendall(HEADERS)
        assert receive(client, len(HEADERS)) == HEADERS
        client.sendall(b"more")
        assert receive(backend, 4) == b"more"
        backend.sendall(EVENT)
        assert receive(client, len(EVENT)) == EVENT
        backend.close()
        assert receive(client) == b""


def test_an_address_that_is_no_unix_socket_is_refused_at_the_start():
    refusal = r"only a unix socket can take them: 127\.0\.0\.1:9,0,0"
    with (
        pytest.raises(ProcessDiedError, match=refusal),
        running_front("built", "--route", "^/ passuwsgi:127.0.0.1:9,0,0"),
    ):
        pass


def test_a_variable_address_that_is_no_unix_socket_is_proxied_to():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(scaled(TIMEOUT_S))
        host, port = listener.getsockname()
        actions = [f"addvar:BACKEND={host}:{port}", "passuwsgi:${{BACKEND}},0,0"]
        with running_front("built", *(f"--route=^/subscribe {action}" for action in actions)) as front:
            client, backend = front.request(), front.exits.enter_context(listener.accept()[0])
            assert b"/subscribe" in variables(backend)
            backend.sendall(HEADERS)
            assert receive(client, len(HEADERS)) == HEADERS


def test_a_stock_uwsgi_does_not_start_with_it():
    with pytest.raises(ProcessDiedError, match=r"unable to register route .*passuwsgi"), running_front("wheel", *PASS):
        pass
