"""What each of the three apps does through nginx with TLS, by either way to the front."""

import json
import os
import stat
from urllib.parse import quote

import pytest

from offload_lab.clients.event_stream_pool import EventStreamPool
from offload_lab.process.polling import wait_for
from offload_lab.testing import idle_workers

from .conftest import TIMEOUT_S


def events_of(response):
    from httpx_sse import EventSource

    return EventSource(response).iter_sse()


def next_event(events, *types):
    return next(event for event in events if event.event in types)


@pytest.mark.core
@pytest.mark.parametrize("http2", [False, True], ids=["h1", "h2"])
def test_each_user_gets_what_is_for_all_for_them_and_for_their_groups(shop, http2):
    with shop.http(shop.ada, http2=http2) as ada, shop.http(shop.grace, http2=http2) as grace:
        with ada.stream("GET", "/subscribe") as to_ada, grace.stream("GET", "/subscribe") as to_grace:
            assert to_ada.http_version == ("HTTP/2" if http2 else "HTTP/1.1")
            streams = {"ada": events_of(to_ada), "grace": events_of(to_grace)}
            for events in streams.values():
                next_event(events, "hello")
            for number, to in enumerate(("user:ada", "group:packers", "group:buyers", "all"), 10 * http2):
                shop.notify(to, f"for {to}", number)
            got = {
                name: [json.loads(next_event(events, "notice").data)["text"] for _ in range(3)]
                for name, events in streams.items()
            }
    assert got == {
        "ada": ["for user:ada", "for group:buyers", "for all"],
        "grace": ["for group:packers", "for group:buyers", "for all"],
    }


def test_a_stream_resumes_behind_its_last_event(shop):
    first, *missed = (shop.notify("group:buyers", f"resume {number}", 100 + number) for number in range(4))
    with shop.http(shop.grace) as grace, grace.stream("GET", "/subscribe", headers={"Last-Event-ID": first}) as answer:
        events = events_of(answer)
        assert [next_event(events, "notice").id for _ in missed] == missed


def test_a_place_that_the_history_does_not_have_is_a_reset(shop):
    with shop.http(shop.grace) as grace, grace.stream("GET", "/subscribe", headers={"Last-Event-ID": "1-1"}) as answer:
        assert next_event(events_of(answer), "notice", "reset").event == "reset"


def test_an_anonymous_client_gets_403_and_no_header_of_the_request_changes_that(shop):
    forged = {"X-Offload-To": "feed", "X-Offload-User": "ada", "Content-Type": "text/event-stream"}
    with shop.http() as client:
        for path in ("/subscribe", "/ws"):
            answer = client.get(path, headers=forged)
            assert (answer.status_code, answer.text) == (403, "log in first\n")


def test_a_stream_has_the_security_headers_that_offloading_drops(shop):
    with shop.http(shop.ada) as client, client.stream("GET", "/subscribe") as answer:
        found = dict(answer.headers)
    wanted = ("strict-transport-security", "x-content-type-options", "referrer-policy", "x-frame-options")
    assert {name: found.get(name) for name in wanted} == dict(
        zip(wanted, ("max-age=31536000", "nosniff", "same-origin", "DENY"), strict=True)
    )
    assert [name for name in found if name.startswith("x-offload")] == []


def test_pages_have_each_security_header_once(shop):
    with shop.http(shop.ada) as client:
        headers = client.get("/", headers={"Accept-Encoding": "gzip"}).headers
    assert headers["content-encoding"] == "gzip"
    assert headers.get_list("x-content-type-options") == ["nosniff"]
    assert headers.get_list("x-frame-options") == ["DENY"]


def test_what_is_authorised_is_offloaded_and_the_log_says_so(shop):
    before = sum(worker.offloaded for worker in idle_workers(shop))
    with shop.http(shop.ada) as client, client.stream("GET", "/subscribe") as answer:
        next_event(events_of(answer), "hello")
        wait_for(lambda: sum(worker.offloaded for worker in shop.workers()) == before + 1, TIMEOUT_S, "the count")
    with shop.http() as client:
        client.get("/subscribe")
    idle_workers(shop)  # both requests are in the log
    lines = [line for line in shop.log_lines("front") if line["uri"] == "/subscribe"][-2:]
    assert [(line["status"], line["offloaded"], line["user"]) for line in lines] == [
        (202, "feed", "ada"),
        (403, "-", "-"),
    ]
    assert {line["client"] for line in lines} == {"127.0.0.1"}


def test_four_processes_share_the_streams_and_one_event_reaches_all(shop):
    before = {worker.pid: worker.offloaded for worker in idle_workers(shop)}
    with EventStreamPool(shop.port, 200, cookie=shop.ada.cookie) as pool:
        pool.wait_for_events(1, TIMEOUT_S)
        shop.notify("all", "to 200 streams", 300)
        pool.wait_for_events(2, TIMEOUT_S)
    share = {worker.pid: worker.offloaded - before[worker.pid] for worker in idle_workers(shop)}
    assert len(share) == 4
    assert sum(share.values()) == 200
    assert min(share.values()) > 0


NAMES = ["größe.pdf", "价格 100%.txt", 'a"b;c.csv', "über/ordner.tar.gz"]


@pytest.mark.core
@pytest.mark.parametrize("name", NAMES)
def test_a_file_of_any_name_is_sent_by_nginx_with_ranges(shop, name):
    path = shop.run / "downloads" / name
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(b"0123456789" * 1000)
    with shop.http(shop.ada) as client:
        answer = client.get(f"/downloads/{quote(name)}", headers={"Range": "bytes=4-8"})
        head = client.head(f"/downloads/{quote(name)}")
    assert (answer.status_code, answer.content, answer.headers["content-range"]) == (206, b"45678", "bytes 4-8/10000")
    assert head.headers["content-length"] == "10000"
    assert answer.headers["content-disposition"].endswith(f"filename*=UTF-8''{quote(path.name, safe='')}")
    assert answer.headers["content-security-policy"] == "default-src 'none'; sandbox"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert "x-accel-redirect" not in answer.headers


def test_what_is_no_file_is_refused_and_an_anonymous_client_logs_in_first(shop):
    (shop.run / "downloads" / "link.txt").symlink_to("/etc/passwd")
    with shop.http(shop.ada) as client:
        for name in ("nothing.txt", "link.txt", "..%2f..%2fetc%2fpasswd", "%2fetc%2fpasswd", "a%00b", "x" * 300):
            assert client.get(f"/downloads/{name}").status_code in (404, 400), name  # 400 is nginx's own
        assert client.get("/protected/größe.pdf").status_code == 404
    with shop.http() as client:
        assert client.get("/downloads/größe.pdf").status_code == 302


def test_the_fronts_sockets_are_for_a_group_and_all_others_for_our_user_only(shop):
    mode = {
        path.name: stat.S_IMODE(path.stat().st_mode) for path in shop.run.glob("*.sock") if path.name != "redirect.sock"
    }
    opened = {name for name, bits in mode.items() if bits & 0o060}
    # chmod-socket opens the stats for a group, too, but chown-socket leaves them with our own
    assert opened == {"front.sock", "front-http.sock", "front-stats.sock"}
    assert [name for name, bits in mode.items() if bits & 0o006] == []
    assert (shop.run / "front-stats.sock").stat().st_gid == os.getgid()


def test_ready_says_what_is_missing(shop):
    with shop.http() as client:
        assert client.get("/ready").json() == {"database": True, "redis": True, "feed": True, "chat": True}
        assert client.get("/ping").text == "pong"
