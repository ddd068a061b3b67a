"""uwsgi_build/patches 10 to 18: a request of any client gets a status, ends no worker, and leaves nothing in the log.

The server is bare/bare.ini: uWSGI without the guards that the stages' fronts have.
"""

import shutil
import socket
import ssl
import subprocess
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from offload_lab.process.deadlines import Deadline
from offload_lab.process.polling import wait_for
from offload_lab.process.server_process import free_port
from offload_lab.stages.stage import short_private_folder
from offload_lab.testing import require
from offload_lab.timeouts import scaled
from offload_lab.uwsgi.protocol import packet
from offload_lab.uwsgi.server import Uwsgi

from .conftest import EVENT, HEADERS, TIMEOUT_S, find, receive
from .test_uwsgi_build_patches import stock_fails

pytestmark = pytest.mark.full

BARE = Path(__file__).with_name("bare") / "bare.ini"
GET = b"GET /ping HTTP/1.1\r\nHost: localhost\r\n"


class Bare:
    """A running server, and clients of it that say what they like."""

    def __init__(self, server, run, exits):
        self.server, self.run, self.exits = server, run, exits
        self.pid = server.workers()[0].pid

    def connect(self, port=None):
        address = ("127.0.0.1", port or self.server.port)
        return self.exits.enter_context(socket.create_connection(address, scaled(TIMEOUT_S)))

    def ask(self, request):
        """The whole answer to `request`, until the server closes the connection."""
        client = self.connect()
        client.sendall(request)
        return receive(client)

    def log(self):
        return self.server.log.read_bytes()

    def has_same_worker(self):
        return self.server.workers()[0].pid == self.pid


@contextmanager
def bare(uwsgi, *options):
    run = short_private_folder()
    with ExitStack() as exits:
        exits.callback(shutil.rmtree, run)
        options = [word.format(run=run) for word in options]
        server = exits.enter_context(Uwsgi(BARE, run, port=free_port(), engine=find(uwsgi), options=options))
        server.wait_ready(Deadline(TIMEOUT_S))
        yield Bare(server, run, exits)


@stock_fails
def test_the_whole_match_is_there_without_groups(uwsgi):
    with bare(uwsgi, "--route", "^/zero addvar:A=$0") as server:
        assert server.ask(b"GET /zero HTTP/1.0\r\n\r\n").endswith(b"pong http /zero")
        assert server.has_same_worker()


def test_a_condition_without_groups_has_its_whole_match():
    with bare("built", "--route-if", "regexp:${{REQUEST_METHOD}};^G addvar:A=$0") as server:
        assert server.ask(b"GET / HTTP/1.0\r\n\r\n").endswith(b"pong http G")
        assert server.has_same_worker()


@stock_fails
def test_a_scheme_of_any_bytes_reaches_the_app(uwsgi):
    with bare(uwsgi) as server:
        answer = server.ask(b"GET / HTTP/1.0\r\nX-Forwarded-Proto: \xff\r\n\r\n")
        assert answer.endswith(b"pong \xff ")
        assert server.has_same_worker()


@stock_fails
def test_a_long_line_of_the_log_is_whole_and_ends_there(uwsgi):
    target = b"/large?" + b"x" * 15_000
    with bare(uwsgi, "--buffer-size", "65535") as server:
        client = server.connect()
        client.sendall(b"GET " + target + b" HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert client.recv(1)
        client.close()
        wait_for(lambda: b"during GET" in server.log(), TIMEOUT_S, "the line of the client that left")
        wait_for(lambda: server.server.workers()[0].requests, TIMEOUT_S, "the end of that request")
        [line] = [line for line in server.log().split(b"\n") if b"during GET" in line]
        assert line.endswith(b" during GET " + target + b" (127.0.0.1)")


REFUSED = {
    "no_version": (b"GET /ping\r\n\r\n", b"400"),
    "no_http": (b"GET /a b HTTP/1.1\r\n\r\n", b"400"),
    "no_method": (b" /ping HTTP/1.1\r\n\r\n", b"400"),
    "line_feed": (b"GET /\nforged HTTP/1.1\r\n\r\n", b"400"),
    "no_colon": (GET + b"nonsense\r\n\r\n", b"400"),
    "no_name": (GET + b": nonsense\r\n\r\n", b"400"),
    "large_headers": (GET + b"X: " + b"x" * 5000 + b"\r\n\r\n", b"431"),
    "large_target": (b"GET /" + b"x" * 5000 + b" HTTP/1.1\r\n\r\n", b"414"),
    "half_of_the_buffer": (b"GET /" + b"x" * 2100 + b" HTTP/1.1\r\n\r\n", b"414"),
    "a_third_of_the_buffer": (b"GET /" + b"x" * 1400 + b"?" + b"y" * 600 + b" HTTP/1.1\r\n\r\n", b"431"),
    "many_headers": (GET + b"".join(b"X-%d: y\r\n" % number for number in range(130)) + b"\r\n", b"431"),
}


@pytest.fixture(scope="module")
def default_sizes(uwsgi):
    """A server with uWSGI's own limits: 4 KiB and 128 variables."""
    with bare(uwsgi) as server:
        yield server


@stock_fails
@pytest.mark.parametrize("name", REFUSED)
def test_a_request_that_is_not_taken_gets_a_status(default_sizes, name):
    request, status = REFUSED[name]
    answer = default_sizes.ask(request)
    assert answer.startswith(b"HTTP/1.1 " + status + b" ")
    assert b"\r\nConnection: close\r\n" in answer


def test_as_many_headers_as_there_are_variables_are_taken():
    """Nine variables are the server's own."""
    with bare("built") as server:
        for count, status in ((128 - 9, b"200"), (128 - 8, b"431")):
            headers = b"".join(b"X-%d: y\r\n" % number for number in range(count))
            assert server.ask(b"GET / HTTP/1.0\r\n" + headers + b"\r\n")[9:12] == status


def test_no_client_writes_a_line_of_the_log():
    with bare("built") as server:
        server.ask(b"GET /\n[pid: 1] forged HTTP/1.1\r\n\r\n")
        assert server.ask(b"GET /ping HTTP/1.0\r\n\r\n")
        assert b"forged" not in server.log()


@stock_fails
def test_a_kept_connection_is_forgotten_once_it_is_offloaded(uwsgi):
    """Else the worker waits for its next request, and closes it after the timeout, before it answers anybody else."""
    port = free_port()
    options = ["--http11-socket", f"127.0.0.1:{port}", "--socket-timeout", "2", "--offload-threads", "1"]
    route = ["--route", "^/subscribe uwsgi:{run}/sse.sock,0,0"]
    with bare(uwsgi, *options, *route) as server, socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(server.run / "sse.sock"))
        listener.listen()
        listener.settimeout(scaled(TIMEOUT_S))
        client = server.connect(port)
        client.sendall(GET + b"\r\n")
        assert receive(client, 12) == b"HTTP/1.1 200"
        while not client.recv(4096).endswith(b"pong http "):
            pass
        client.sendall(b"GET /subscribe HTTP/1.1\r\nHost: localhost\r\n\r\n")
        backend = server.exits.enter_context(listener.accept()[0])
        backend.sendall(HEADERS)
        assert receive(client, len(HEADERS)) == HEADERS
        assert server.ask(b"GET /ping HTTP/1.0\r\n\r\n")
        backend.sendall(EVENT)
        assert receive(client, len(EVENT)) == EVENT


@stock_fails
def test_an_offload_thread_sends_the_announced_range_and_no_more(uwsgi):
    with bare(uwsgi, "--offload-threads", "1", "--honour-range", "--static-map", "/files={run}") as server:
        (server.run / "file").write_bytes(bytes(range(256)) * 2**12)
        for first, last in ((0, 9), (5, 5), (1000, 700_000), (2**20 - 1, 2**20 - 1)):
            request = b"GET /files/file HTTP/1.0\r\nRange: bytes=%d-%d\r\n\r\n" % (first, last)
            headers, _, body = server.ask(request).partition(b"\r\n\r\n")
            assert headers.startswith(b"HTTP/1.0 206 ")
            assert body == (bytes(range(256)) * 2**12)[first : last + 1]


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tls")
    require(bool(shutil.which("openssl")), "openssl", "apt-get install openssl")
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=localhost", "-days", "1"]
    command += ["-keyout", folder / "key.pem", "-out", folder / "cert.pem"]
    subprocess.run(command, check=True, capture_output=True, timeout=scaled(TIMEOUT_S))
    return f"{folder}/cert.pem,{folder}/key.pem"


def tls(connection):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context.wrap_socket(connection)


def test_a_tls_connection_is_not_passed(certificate):
    """The backend has no session keys."""
    port = free_port()
    options = ["--https-socket", f"127.0.0.1:{port},{certificate}", "--offload-threads", "1"]
    with bare("built", *options, "--route", "^/subscribe passuwsgi:{run}/sse.sock,0,0") as server:
        client = server.exits.enter_context(tls(server.connect(port)))
        client.sendall(b"GET /subscribe HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert receive(client, 12) == b"HTTP/1.1 503"
        assert b"cannot pass a TLS connection" in server.log()


def test_a_file_is_sent_through_tls_by_the_worker(certificate):
    """An offload thread would send it between the records of TLS, as plain text."""
    port = free_port()
    options = ["--suwsgi-socket", f"127.0.0.1:{port},{certificate}", "--offload-threads", "1"]
    with bare("built", *options, "--static-map", "/files={run}") as server:
        (server.run / "file").write_bytes(b"x" * 2**20)
        client = server.exits.enter_context(tls(server.connect(port)))
        request = {"REQUEST_METHOD": "GET", "PATH_INFO": "/files/file", "SERVER_PROTOCOL": "HTTP/1.0"}
        client.sendall(packet(request))
        assert receive(client).endswith(b"x" * 2**20)
