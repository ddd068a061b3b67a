"""The live view without a process: sentences, frames, rates and lines of INI."""

from dataclasses import replace

import pytest

from offload_lab.inspect.snapshot import Connection, Request, Worker
from offload_lab.live.counters import Counters
from offload_lab.live.frame import NAMED
from offload_lab.live.ini_lines import difference
from offload_lab.live.losses import Losses, with_alarm
from offload_lab.live.sentence import Held, sentence
from offload_lab.live.watcher import Backend
from offload_lab.stages import manifest

from .live_looks import IDLE, STUCK, client, connection, frame_of, front, look

# --- the sentence


def test_an_idle_worker_and_what_a_thread_serves():
    held = [Held("Offload thread 1", []), Held("Offload thread 2", ["stream"] * 3)]
    line = sentence(front(IDLE, routes_offload=True), {}, held, [], 0)
    assert line.text == "Worker 10 is idle. Offload thread 2 serves 3 streams."
    assert line.state == "good"


def test_several_threads_are_told_together():
    held = [Held("Offload thread 1", ["stream"]), Held("Offload thread 2", ["stream", "websocket"])]
    line = sentence(front(IDLE, routes_offload=True), {}, held, [], 0)
    assert line.text == "Worker 10 is idle. 2 offload threads serve 2 streams and 1 WebSocket."


def test_a_worker_that_carries_is_told_with_the_reason():
    line = sentence(front(STUCK), {10: 3.2}, [], [], 5)
    assert line.text == (
        "Worker 10 has been reading from the backend for 3 s because no offload thread exists."
        " 5 connections wait in the queue."
    )
    assert line.state == "bad"


def test_a_request_in_passing_is_no_alarm():
    assert sentence(front(STUCK), {10: 0.4}, [], [], 0).state == "good"


def test_a_backend_that_is_down_is_an_alarm():
    line = sentence(front(IDLE, routes_offload=True), {}, [], ["sse"], 0)
    assert (line.text, line.state) == ("Worker 10 is idle. The backend sse does not run.", "bad")


# --- the frame


def test_each_client_is_where_its_connection_is():
    frame = frame_of(
        look(connection(1, 11), connection(2, 12), connection(3, 10), Connection("127.0.0.1:4")),
        *(client(port) for port in (1, 2, 3, 4)),
    )
    [worker] = frame["workers"]
    assert [lane["tokens"] for lane in worker["lanes"]] == [[("S1", "stream", 0)], [("S2", "stream", 0)]]
    assert worker["tokens"] == [("S3", "stream", 0)]
    assert frame["queue"]["tokens"] == [("S4", "stream", 0)]
    assert (frame["held"], frame["offloaded"]) == (3, 3)


def test_bytes_that_are_not_told_are_no_zero():
    assert frame_of(look())["worker_bytes"] is None
    assert frame_of(replace(look(), written={10: 0}))["worker_bytes"] == 0


def test_a_passed_socket_is_at_the_backend():
    seen = look(
        Connection("127.0.0.1:1", accepted=True),
        backends=(Backend("sse", 20, 1, 2500),),
        passed={"127.0.0.1:1": "sse"},
    )
    frame = frame_of(seen, client(1))
    assert frame["backends"][0]["tokens"] == [("S1", "stream", 0)]
    assert "The backend sse serves 1 stream on sockets passed to it." in frame["text"]


def test_many_clients_are_a_count():
    frame = frame_of(look(*(connection(port, 11) for port in range(500))))
    lane = frame["workers"][0]["lanes"][0]
    assert (lane["n"], len(lane["tokens"])) == (500, NAMED)


def test_who_left_unnoticed_still_holds():
    lane = frame_of(look(connection(1, 11, client_closed=True)), client(1))["workers"][0]["lanes"][0]
    assert (lane["n"], lane["left"], lane["tokens"]) == (1, 1, [("S1", "stream", 1)])


def test_a_client_that_is_not_ours_is_its_address():
    lane = frame_of(look(connection(7, 11)))["workers"][0]["lanes"][0]
    assert lane["tokens"] == [("127.0.0.1:7", "other", 0)]


# --- losses


@pytest.mark.parametrize(
    ("options", "lost"),
    [
        ({"kind": "stream", "status": 200}, True),
        ({"kind": "websocket", "status": 101}, True),
        ({"kind": "stream", "status": 200, "left": True}, False),
        ({"kind": "stream", "status": 403}, False),
        ({"kind": "stream", "status": 503}, True),
        ({"kind": "ping"}, True),
        ({"kind": "ping", "status": 200}, False),
        ({"kind": "download", "status": 200}, False),
        ({"kind": "download", "status": 200, "missing": 1}, True),
    ],
)
def test_a_client_is_lost_that_ends_before_it_has_all_and_has_not_left(options, lost):
    assert client(1, ended=5.0, **options).lost == lost


def test_a_loss_is_told_once_where_it_was_seen_last():
    losses = Losses()
    losses.see(look(connection(1, 12), connection(2, 10), connection(3, 11)))
    losses.see(look(connection(3, 11)))
    lost = [client(port, status=200, ended=5.0) for port in (1, 2, 4)]
    assert losses.news(lost) == [
        {"place": "lane 2", "n": 1, "tokens": [("S1", "stream")]},
        {"place": "worker", "n": 1, "tokens": [("S2", "stream")]},
        {"place": "", "n": 1, "tokens": [("S4", "stream")]},
    ]
    assert losses.news(lost) == []


def test_a_side_is_not_good_while_a_loss_is_new():
    frame = {"text": "Worker 10 is idle.", "state": "good", "waiting_s": 0.3}
    lost = [client(port, ended=5.0) for port in (1, 2)]
    assert with_alarm(frame, lost, 6.0) == {**frame, "text": "Lost: 2 streams. Worker 10 is idle.", "state": "bad"}
    assert with_alarm(frame, lost, 60.0) == frame


def test_a_side_is_not_good_while_a_bystander_waits_although_the_worker_is_not_stuck():
    frame = {"text": "Worker 10 is busy for a moment.", "state": "good", "waiting_s": 9.2}
    text = "Worker 10 is busy for a moment. A bystander has waited for 9 s."
    assert with_alarm(frame, [], 6.0) == {**frame, "text": text, "state": "bad"}
    assert with_alarm({**frame, "state": "bad"}, [], 6.0) == {**frame, "state": "bad"}, "its sentence says more"


# --- rates and totals


def test_bytes_are_counted_by_workers_and_by_threads():
    counters = Counters()
    counters.update(look(written={10: 100, 11: 1000}), 1.0)
    counters.update(look(written={10: 150, 11: 3000}), 2.0)
    assert (counters.by_workers, counters.by_threads) == (50, 2000)
    assert counters.rates[11] == 1000  # smoothed


def test_a_worker_that_answers_one_after_another_is_not_stuck():
    busy = Worker(10, busy=True, requests=(Request("GET", "/ping", 0),))
    counters = Counters()
    for at in (1.0, 2.0, 3.0, 9.0):
        counters.update(look(worker=busy), at)
    assert 9.0 - counters.busy_since[10] == 1.0  # uWSGI tells whole seconds


def test_a_worker_with_one_request_is_busy_since_then():
    counters = Counters()
    for at, since in ((1.0, 0), (2.0, 1), (9.0, 8)):
        counters.update(look(worker=Worker(10, busy=True, requests=(Request("GET", "/file", since),))), at)
    assert 9.0 - counters.busy_since[10] == 8.0


# --- the lines of INI


def test_the_line_that_makes_the_difference_comes_first():
    step = manifest.find("01")
    lines = difference(step.folder / "offload.ini", step.folder / "file_wrapper.ini")
    assert (lines[0]["text"], lines[0]["missing"]) == ("offload-threads = 1", False)
    lines = difference(step.folder / "file_wrapper.ini", step.folder / "offload.ini")
    assert (lines[0]["text"], lines[0]["missing"]) == ("offload-threads = 1", True)


def test_of_a_route_the_action_is_told():
    step = manifest.find("03")
    lines = difference(step.folder / "header.ini", step.folder / "blocking.ini")
    assert lines[0]["short"] == "response-route… uwsgi:sse.sock,0,0"
