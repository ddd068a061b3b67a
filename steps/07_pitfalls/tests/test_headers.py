"""headers_twice, headers_lost, middleware_gzip: Django's headers where the backend sends its own."""

import gzip
import http.client

import httpx
import pytest
from httpx_sse import connect_sse

from offload_lab.clients import fetch, fetch_raw
from offload_lab.testing import idle_workers

DJANGOS = {"X-Frame-Options": "DENY", "X-Content-Type-Options": "nosniff", "Vary": "Cookie"}
ANONYMOUS = b"GET /subscribe HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"


def whole_answer(client):
    """The first set of headers and all that followed. The worker and the backend race for the first."""
    head = "".join(f"{name}: {value}\r\n" for name, value in client.head.headers)
    return head.encode() + client.body


@pytest.mark.core
def test_headers_twice_broken_sends_two_sets_of_headers(stage_of):
    stage = stage_of("headers_twice_broken")
    with stage.subscribe(cookie=stage.log_in().cookie) as ada:
        while b"HTTP/1.1 200 OK\r\n" not in ada.body or b"Referrer-Policy" not in whole_answer(ada):
            ada.read()
        answer = whole_answer(ada)
    assert b"Content-Type: text/event-stream\r\n" in answer  # the backend's
    assert b"Content-Type: text/html; charset=utf-8\r\n" in answer  # Django's
    assert b"Content-Length: 0\r\n" in answer


@pytest.mark.core
def test_headers_twice_fixed_sends_the_streams_alone(stage_of):
    stage = stage_of("headers_twice_fixed")
    with stage.subscribe(cookie=stage.log_in().cookie) as ada:
        ada.next()
        idle_workers(stage)  # a second set of headers may come after the first event; now the worker has sent all
        stage.process("sse").stop()
        ada.read_all()
    assert ada.head.get("Content-Type") == ["text/event-stream"]
    assert not ada.head.get("Content-Length")
    assert b"HTTP/1.1" not in ada.body


@pytest.mark.core
@pytest.mark.parametrize("variant", ["headers_lost_broken", "headers_lost_fake_broken"])
def test_headers_lost_broken_refuses_without_a_status(stage_of, variant):
    stage = stage_of(variant)
    assert fetch_raw(stage.port, ANONYMOUS) == b"log in first\n"  # the body of Django's 403, and nothing else
    with pytest.raises(http.client.BadStatusLine):
        fetch(stage.port, "/subscribe")


def test_headers_lost_fake_broken_offloads_nothing(stage_of):
    """uWSGI evaluates the response routes when it writes headers; Django's were thrown away."""
    stage = stage_of("headers_lost_fake_broken")
    with pytest.raises(http.client.RemoteDisconnected):
        stage.log_in().ask("GET", "/subscribe")
    assert idle_workers(stage)[0].offloaded == 0


@pytest.mark.parametrize("variant", ["headers_lost_broken", "headers_lost_fixed"])
def test_headers_lost_is_not_seen_by_logged_in_users(stage_of, variant):
    """Why it goes unnoticed: a logged-in user gets the stream with its headers either way."""
    stage = stage_of(variant)
    with stage.subscribe(cookie=stage.log_in().cookie) as ada:
        assert ada.head.get("Content-Type") == ["text/event-stream"]
        ada.next()


@pytest.mark.core
def test_headers_lost_fixed_refuses_with_all_of_djangos_headers(stage_of):
    answer = fetch(stage_of("headers_lost_fixed").port, "/subscribe")
    assert (answer.status, answer.body) == (403, b"log in first\n")
    assert DJANGOS.items() <= dict(answer.headers).items()


def asks_for_gzip(stage):
    return stage.subscribe(cookie=stage.log_in().cookie, headers=[("Accept-Encoding", "gzip")])


@pytest.mark.core
def test_middleware_gzip_broken_promises_gzip_and_sends_text(stage_of):
    stage = stage_of("middleware_gzip_broken")
    with asks_for_gzip(stage) as ada:
        while b"event: ticket" not in ada.body:
            ada.read()
    assert ada.head.get("Content-Encoding") == ["gzip"]
    with pytest.raises(gzip.BadGzipFile):
        gzip.decompress(ada.body)


def test_middleware_gzip_broken_gives_a_client_that_believes_it_no_event(stage_of):
    stage = stage_of("middleware_gzip_broken")
    with pytest.raises(httpx.DecodingError):
        first_event(stage)


@pytest.mark.core
def test_middleware_gzip_fixed_sends_the_stream_as_it_is(stage_of):
    stage = stage_of("middleware_gzip_fixed")
    with asks_for_gzip(stage) as ada:
        ada.next()
    assert not ada.head.get("Content-Encoding")
    assert ada.body.startswith(b"retry: 1000\nid: 1\n")
    assert first_event(stage).id == "1"


def first_event(stage):
    headers = {"Cookie": stage.log_in().cookie, "Accept-Encoding": "gzip"}
    with (
        httpx.Client(timeout=30) as http,
        connect_sse(http, "GET", f"{stage.url}/subscribe", headers=headers) as source,
    ):
        return next(source.iter_sse())
