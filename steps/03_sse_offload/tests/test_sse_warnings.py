"""What the README warns of, observed: lines in circulation, a dead backend, a worker that proxies by itself."""

from contextlib import closing
from socket import create_connection

import pytest

from offload_lab.clients import fetch_raw, ping
from offload_lab.process.polling import wait_for
from offload_lab.stages.stage import Stage
from offload_lab.testing import idle_workers
from offload_lab.timeouts import scaled
from offload_lab.uwsgi import binary

from .conftest import TIMEOUT_S, altered, side_by_side
from .test_sse_lines import PLAIN, accepted, first_bytes, raw, trap

CONDITIONAL = "response-route-if-not = empty:${X_OFFLOAD} disableheaders:"
LINES = {
    "the request's own type": ("content_type", ("OFFLOAD_TYPE", "CONTENT_TYPE")),
    "by path": ("header", (CONDITIONAL, "response-route = ^/403 disableheaders:")),
    "unflushed": ("no_start_response", ("response-route-if-not = empty:${X_OFFLOAD} send:\n", "")),
    "as they should be": ("header",),
    "alone": ("header", ("offload-threads = 2\n", ""), ("harakiri = 30", "harakiri = 3")),
}


@pytest.fixture(scope="module")
def fronts(tmp_path_factory):
    def stage(front, *changes):
        step = altered(front, tmp_path_factory.mktemp("front"), PLAIN, *changes, alone=True)
        return Stage(step, "altered", engine=binary.find("wheel"))  # the one that the project builds cures some of it

    with side_by_side({name: stage(*lines) for name, lines in LINES.items()}) as stages:
        yield stages


def test_collecting_into_content_type_lets_a_client_bypass_django(fronts):
    front = fronts["the request's own type"]
    with trap(front) as listener:
        fetch = raw(front, "/304", [("Content-Type", "text/event-stream")])
        with closing(create_connection(("127.0.0.1", front.port), scaled(TIMEOUT_S))) as anonymous:
            anonymous.sendall(fetch)
            with accepted(listener) as connection:
                assert b"HTTP_HOST" in connection.recv(65536)


def test_disabling_headers_by_path_drops_those_of_refusals_too(fronts):
    front = fronts["by path"]
    assert fetch_raw(front.port, raw(front, "/403")) == b"no\n"


def test_headers_that_are_not_flushed_may_be_overtaken_by_an_event(fronts):
    assert first_bytes(fronts["unflushed"]).startswith(b"retry: 1000\n\nHTTP/1.1 200 OK\r\n")


def test_without_a_backend_the_reply_is_empty_and_the_log_says_200(fronts):
    front = fronts["as they should be"]
    assert fetch_raw(front.port, raw(front, "/yes")) == b""
    wait_for(lambda: "GET /yes" in front.logs(), TIMEOUT_S, "the request in the log")
    assert "(HTTP/1.1 200)" in next(line for line in front.logs().splitlines() if "GET /yes" in line)
    idle_workers(front)


def test_a_worker_that_proxies_a_stream_itself_is_lost_until_harakiri(fronts):
    front = fronts["alone"]
    [lost] = front.workers()
    with trap(front) as listener, closing(create_connection(("127.0.0.1", front.port), scaled(TIMEOUT_S))) as client:
        client.sendall(raw(front, "/yes"))
        with accepted(listener) as backend:
            backend.sendall(b"retry: 1000\n\n")
            assert ping(front.port, TIMEOUT_S).pid not in (0, lost.pid)
        assert client.recv(1) == b""  # of what the backend sent, the client never saw a byte
