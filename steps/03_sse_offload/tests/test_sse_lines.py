"""The fronts' lines alone: a plain app answers instead of Django, and the test listens where the gevent app would."""

import socket
from collections import Counter
from contextlib import closing, contextmanager

import pytest

from offload_lab.clients import fetch_raw, ping
from offload_lab.clients.sse import request_bytes
from offload_lab.stages.stage import Stage
from offload_lab.timeouts import scaled

from .conftest import OFFLOADING, STEP, TIMEOUT_S, altered, side_by_side, wanted
from .test_sse_refusals import IMITATIONS, QUERY

each_front = pytest.mark.parametrize("front", OFFLOADING, indirect=True)
PLAIN = ("sseproject/wsgi.py", "tests/stand_in_answers.py")


@pytest.fixture(scope="session")
def fronts(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("fronts")
    names = wanted(request, "front")
    with side_by_side({name: Stage(altered(name, folder, PLAIN, alone=True), "altered") for name in names}) as stages:
        yield stages


@pytest.fixture
def front(request, fronts):
    return fronts[request.param]


@contextmanager
def trap(front):
    """A listener in the backend's place; it sends nothing, and `accept` fails at once without a connection."""
    path = front.run / f"{STEP.variant(front.front.name).inis[0].removesuffix('.ini')}.sock"
    with closing(socket.socket(socket.AF_UNIX)) as listener:
        listener.bind(str(path))
        listener.listen()
        listener.setblocking(False)
        try:
            yield listener
        finally:
            path.unlink()


def accepted(listener):
    listener.settimeout(scaled(TIMEOUT_S))
    connection, _ = listener.accept()
    connection.settimeout(scaled(TIMEOUT_S))
    return connection


def raw(front, path, headers=()):
    return request_bytes(front.port, path, headers=[("Connection", "close"), *headers])


def offloaded_request(front, request):
    """What the backend receives when a front has been told yes: all of it, until the client leaves."""
    with (
        trap(front) as listener,
        closing(socket.create_connection(("127.0.0.1", front.port), scaled(TIMEOUT_S))) as client,
    ):
        client.sendall(request)
        with accepted(listener) as connection:
            first = connection.recv(65536)
            client.shutdown(socket.SHUT_WR)
            return first + b"".join(iter(lambda: connection.recv(65536), b""))


def variables(packet):
    """The pairs in a packet of uWSGI's protocol: a header of 4 bytes, then length and text, length and text..."""
    size, texts, at = int.from_bytes(packet[1:3], "little"), [], 4
    while at < 4 + size:
        length = int.from_bytes(packet[at : at + 2], "little")
        texts.append(packet[at + 2 : at + 2 + length].decode("latin-1"))
        at += 2 + length
    return list(zip(texts[::2], texts[1::2], strict=True))


@each_front
@pytest.mark.parametrize("status", [200, 204, 304, 403, 500])
def test_no_request_header_offloads_whatever_django_answers(front, status):
    plain = fetch_raw(front.port, raw(front, f"/{status}"))
    assert plain.startswith(b"HTTP/1.1 %d As Asked\r\n" % status)
    with trap(front) as listener:
        for headers in [*([header] for header in IMITATIONS), IMITATIONS]:
            assert fetch_raw(front.port, raw(front, f"/{status}" + QUERY, headers)) == plain
        with pytest.raises(BlockingIOError):
            listener.accept()


@pytest.mark.parametrize("front", ["header", "no_start_response", "content_type", "addvar", "goto"], indirect=True)
def test_a_clients_header_arrives_under_another_name_than_djangos(front):
    pairs = variables(offloaded_request(front, raw(front, "/yes" + QUERY, IMITATIONS)))
    names = Counter(name for name, _ in pairs)
    assert (names["X_OFFLOAD"], dict(pairs)["X_OFFLOAD"]) == (1, "ada")
    assert dict(pairs)["HTTP_X_OFFLOAD"].startswith("grace")
    assert {value for name, value in pairs if name.startswith("SSE_")} <= {"north", front.front.name}
    assert not [name for name, number in names.items() if number > 1]


@pytest.mark.parametrize("front", ["http_proxy"], indirect=True)
def test_the_line_that_names_the_user_precedes_all_that_the_client_sent(front):
    received = offloaded_request(front, raw(front, "/yes" + QUERY, IMITATIONS) + b"GET /next HTTP/1.1\r\n\r\n")
    first, _, rest = received.partition(b"\r\n")
    assert first == b"GET /subscribe?user=ada&region=north HTTP/1.0"
    # why the name is not in a header, and why the backend must not keep connections alive: all of this gets through
    assert b"X-Offload: grace" in rest
    assert b"\nX_OFFLOAD: grace" in rest
    assert rest.endswith(b"\r\n\r\nGET /next HTTP/1.1\r\n\r\n")


@each_front
@pytest.mark.parametrize(
    ("fillings", "says"),
    [
        ([[("X-Fill", "x" * size)] for size in range(56_000, 65_550, 97)], "(HTTP/1.1 431)"),
        ([[(f"X-{n}", "") for n in range(count)] for count in range(90, 140)], "(HTTP/1.1 431)"),
    ],
    ids=["bytes", "headers"],
)
def test_a_request_that_fills_the_buffer_is_offloaded_whole_or_not_at_all(front, fillings, says):
    added = b"north" if front.front.name in ("addvar", "goto", "http_proxy") else b"ada"
    with trap(front) as listener:
        for filling in fillings:
            with closing(socket.create_connection(("127.0.0.1", front.port), scaled(TIMEOUT_S))) as client:
                client.sendall(raw(front, "/yes", filling))
                ping(front.port, TIMEOUT_S)  # the worker takes one after the other: ours is decided then
                try:
                    connection, _ = listener.accept()
                except BlockingIOError:
                    continue
                client.shutdown(socket.SHUT_WR)
                with connection:
                    received = b"".join(iter(lambda at=connection: at.recv(65536), b""))
                assert b"ada" in received
                assert added in received
    assert says in front.front.log.read_text(errors="replace")


@pytest.mark.parametrize("front", ["no_start_response"], indirect=True)
def test_djangos_headers_come_first_since_the_line_with_send_flushes_them(front):
    assert first_bytes(front).startswith(b"HTTP/1.1 200 OK\r\n")


def first_bytes(front):
    """What a client gets where Django takes its time between yes and the end of the request, and the backend none."""
    with (
        trap(front) as listener,
        closing(socket.create_connection(("127.0.0.1", front.port), scaled(TIMEOUT_S))) as client,
    ):
        client.sendall(raw(front, "/slow"))
        got = b""
        with accepted(listener) as backend:
            backend.sendall(b"retry: 1000\n\n")
            while b"retry" not in got:
                got += client.recv(65536)
            (front.run / "go").touch()
            while b"was here" not in got:
                got += client.recv(65536)
        return got
