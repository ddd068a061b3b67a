"""Every offloading front: the stream is right to the byte and in the right name, and the worker is free meanwhile."""

import json

import psutil
import pytest

from offload_lab.clients import ping
from offload_lab.clients.event_stream_pool import EventStreamPool
from offload_lab.process.polling import wait_for
from offload_lab.testing import events_by, idle_workers

from .conftest import ALL, OFFLOADING, TIMEOUT_S

each_front = pytest.mark.parametrize("stage", OFFLOADING, indirect=True)
ADDED = {
    "addvar": {"region": "north", "front": "addvar"},
    "goto": {"region": "north", "front": "goto"},
    "http_proxy": {"region": "north"},
}
BACKENDS_HEADERS = ["Content-Type", "Cache-Control", "X-Accel-Buffering", "X-Content-Type-Options"]
NAMES = [
    "grace\r\nX-Offload-to-SSE: ada\r\n\r\n",
    "comma, 0,0",
    "$1 $ ${X_OFFLOAD} ${REMOTE_ADDR}",
    "&user=ada&region=south#?;%41%0d%0a+",
    "\"quotes\" 'and' <b>tags</b> \\ \0 \t",
    "Ада Łovelace 🎟 \u2028 \x85",
    "é" * 300,
]


@each_front
def test_the_stream_is_right_to_the_byte(stage):
    with stage.subscribe() as ada:
        ada.next(), ada.next()
    first, second = (
        json.dumps({"for": "ada", "number": number, **ADDED.get(stage.variant.name, {})}, indent=1).encode()
        for number in (1, 2)
    )
    expected = b"retry: 1000\n"
    for number, data in ((1, first), (2, second)):
        expected += b"id: %d\nevent: ticket\ndata: %s\n\n" % (number, data.replace(b"\n", b"\ndata: "))
    assert ada.body.replace(": ♥\n".encode(), b"").startswith(expected)


@pytest.mark.parametrize("client", ["httpx-sse", "sseclient-py"])
@pytest.mark.parametrize("stage", ALL, indirect=True)
def test_strict_clients_see_each_event_with_its_id_and_no_other(stage, client):
    events = events_by(client, f"{stage.url}/subscribe", 4, stage.ada.cookie)
    assert [(type, id) for type, _, id in events] == [("ticket", str(n)) for n in (1, 2, 3, 4)]
    assert [json.loads(data)["number"] for _, data, _ in events] == [1, 2, 3, 4]


@each_front
def test_there_is_one_set_of_headers_without_the_offload_header(stage):
    with stage.subscribe() as ada:
        ada.next()
    names = [name for name, _ in ada.head.headers]
    if stage.variant.name == "no_start_response":
        assert {"Content-Type", "X-Frame-Options", "Vary"} <= set(names)  # Django's
    else:
        assert names == BACKENDS_HEADERS
    assert len(names) == len(set(names))
    assert ada.head.get("Content-Type") == ["text/event-stream"]
    assert ada.head.get("Cache-Control") == ["no-store"]
    assert not {"X-Offload-to-SSE", "Content-Length"} & set(names)
    assert b"HTTP/1" not in ada.body


@pytest.mark.core
@each_front
def test_beside_fifty_streams_the_same_worker_answers_a_bystander(stage):
    [before] = idle_workers(stage)
    with EventStreamPool(stage.port, 50, cookie=stage.ada.cookie) as streams:
        streams.wait_for_events(each=2, timeout_s=TIMEOUT_S)
        assert ping(stage.port, TIMEOUT_S).pid == before.pid
        [after] = idle_workers(stage)
        assert (after.pid, after.offloaded) == (before.pid, before.offloaded + 50)
        assert (streams.open, stage.open_streams()) == (50, 50)


@each_front
def test_the_idle_worker_keeps_the_clients_socket(stage):
    with stage.subscribe() as ada:
        ada.next()
        [worker] = stage.workers()
        theirs = [end.raddr for end in psutil.Process(worker.pid).net_connections("tcp")]
        assert ada.address in theirs
        wait_for(lambda: not stage.workers()[0].busy, TIMEOUT_S, "the worker idle all the same")


@each_front
def test_a_client_that_leaves_frees_the_greenlet_and_both_descriptors(stage):
    wait_for(lambda: not stage.open_streams(), TIMEOUT_S, "the streams of earlier tests gone")
    before = stage.descriptors()
    with EventStreamPool(stage.port, 5, cookie=stage.ada.cookie) as streams:
        streams.wait_for_events(each=1, timeout_s=TIMEOUT_S)
        idle_workers(stage)  # Django closes its database after the offload
        assert stage.descriptors() == [before[0] + 10, before[1] + 5]
        assert stage.open_streams() == 5
    wait_for(lambda: not stage.open_streams(), TIMEOUT_S, "no stream left in the backend")
    wait_for(lambda: stage.descriptors() == before, TIMEOUT_S, f"no more than {before} descriptors")


@each_front
def test_every_name_arrives_whole_and_has_no_effect(stage):
    for name in NAMES:
        with stage.changed("auth_user", "username", name), stage.subscribe() as client:
            ticket = json.loads(client.next().data)
        assert ticket == {"for": name, "number": 1, **ADDED.get(stage.variant.name, {})}


@each_front
def test_a_client_that_reconnects_goes_on_after_the_last_ticket(stage):
    with stage.subscribe(headers=[("Last-Event-ID", "41")]) as ada:
        assert ada.next().last_event_id == "42"


@each_front
def test_every_ticket_that_was_sent_is_recognised(stage):
    with stage.subscribe(headers=[("Last-Event-ID", "999999998")]) as ada:
        last = [ada.next().last_event_id for _ in range(2)]
    assert last == ["999999999", "1"]
    with stage.subscribe(headers=[("Last-Event-ID", "999999999")]) as ada:
        assert ada.next().last_event_id == "1"


@each_front
def test_a_forged_last_ticket_is_ignored(stage):
    for forged in ("-1", "1e9", "¹²", "9" * 5000, "1\n2", "../../etc"):
        with stage.subscribe(headers=[("Last-Event-ID", forged)]) as ada:
            assert ada.next().last_event_id == "1"
