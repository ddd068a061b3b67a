"""The board as its clients know it, on the backend to copy."""

import http.client
import json
import random
import sqlite3
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

import pytest
from websockets.exceptions import ConnectionClosedError
from websockets.sync.client import connect

from offload_lab.clients import fetch_raw, ping
from offload_lab.clients.websocket import (
    CLOSE,
    CONTINUATION,
    TEXT,
    HandshakeError,
    WebSocketClient,
    WebSocketPool,
    close_frame,
    frame,
)
from offload_lab.inspect.socket_owners import find_socket_owners
from offload_lab.process.polling import wait_for
from offload_lab.testing import chromium, idle_workers
from offload_lab.timeouts import scaled

from .conftest import next_news

CLIENTS = 200
BIG = "*" * 60_000


@pytest.mark.core
def test_every_client_gets_each_message_and_its_user(offload):
    with offload.connect(offload.ada) as ada, offload.connect(offload.grace) as grace:
        ada.send_text("Anybody at counter 3? ☎")
        assert next_news(grace, "text") == next_news(ada, "text") == {"user": "ada", "text": "Anybody at counter 3? ☎"}


def test_every_client_gets_the_clock(offload):
    with offload.connect(offload.ada) as ada:
        wait_for(lambda: next_news(ada, "clients")["clients"] == 1, 30, "the stalled client gone")


@pytest.mark.core
def test_open_sockets_leave_the_one_worker_free(offload):
    [before] = idle_workers(offload)
    with WebSocketPool(offload.port, 50, {"Cookie": offload.ada}) as crowd:
        crowd.wait_for(messages=200, timeout_s=30)
        assert ping(offload.port, timeout_s=30).pid == before.pid
        [after] = idle_workers(offload)
        assert (after.pid, after.offloaded - before.offloaded) == (before.pid, 50)


def test_an_offload_thread_owns_the_clients_socket(offload):
    with offload.connect(offload.ada) as ada:
        next_news(ada, "clients")  # it is offloaded by now
        [holder] = find_socket_owners(offload.port, ada.socket.getsockname()[1], offload.front.pids())
        assert (holder.pid, holder.is_main_thread) == (offload.workers()[0].pid, False)


def test_fragments_of_200_clients_in_any_order_never_cross(offload):
    mixed = random.Random(200)  # noqa: S311  (it only shuffles)
    with offload.connect(offload.grace) as grace, ExitStack() as exits:
        clients = [exits.enter_context(offload.connect(offload.ada)) for _ in range(CLIENTS)]
        for round_, opcode in enumerate([TEXT, CONTINUATION, CONTINUATION]):
            for number in mixed.sample(range(CLIENTS), CLIENTS):
                clients[number].send(frame(opcode, b"%d-%d " % (number, round_), final=round_ == 2))
        received = {next_news(grace, "text")["text"] for _ in range(CLIENTS)}
    assert received == {f"{number}-0 {number}-1 {number}-2 " for number in range(CLIENTS)}


def test_a_client_that_stops_reading_is_dropped_and_the_rest_go_on(offload):
    with offload.connect(offload.grace, receive_buffer_bytes=4096) as stalled, offload.connect(offload.ada) as ada:
        wait_for(lambda: next_news(ada, "clients")["clients"] == 2, 30, "both clients")
        while "dropped, does not read" not in offload.process("ws").log_tail(5):
            for _ in range(20):
                ada.send_text(BIG)
                assert next_news(ada, "text")["text"] == BIG
        wait_for(lambda: next_news(ada, "clients")["clients"] == 1, 30, "the stalled client gone")
        # the front does not notice: an offload thread that waits to write watches nothing else
        assert find_socket_owners(offload.port, stalled.socket.getsockname()[1], offload.front.pids())
        while (last := stalled.receive()) is not None:
            assert last.opcode != CLOSE  # there was no room left for a Close frame


def test_a_message_in_a_burst_of_hundreds_reaches_all_clients(offload):
    with offload.connect(offload.ada) as ada, offload.connect(offload.grace) as grace:
        ada.send(b"".join(frame(TEXT, b"%d" % number) for number in range(500)))
        assert [next_news(grace, "text")["text"] for _ in range(500)] == [str(number) for number in range(500)]


def test_the_close_frame_is_answered_with_code_and_reason(offload):
    with offload.connect(offload.ada) as ada:
        ada.send(close_frame(4321, b"off to lunch"))
        while (last := ada.receive()).opcode != CLOSE:
            pass
        assert (last.payload, ada.receive()) == ((4321).to_bytes(2) + b"off to lunch", None)


def test_compression_is_not_agreed_to(offload):
    offer = {"Sec-WebSocket-Extensions": "permessage-deflate; client_max_window_bits"}
    with WebSocketClient(offload.port, headers={"Cookie": offload.ada, **offer}) as ada:
        assert "sec-websocket-extensions" not in ada.headers


def test_a_client_of_the_websockets_package_talks_to_it_and_closes_cleanly(offload):
    address, cookie = f"127.0.0.1:{offload.port}", {"Cookie": offload.ada}
    with connect(f"ws://{address}/ws", origin=f"http://{address}", additional_headers=cookie, proxy=None) as ada:
        ada.send(["in ", "three ", "fragments"])
        while (news := json.loads(ada.recv(timeout=scaled(30)))).get("text") != "in three fragments":
            assert "time" in news
    assert ada.close_code == 1000


def test_the_websockets_package_gets_no_compression_and_sees_the_limit(offload):
    address, cookie = f"127.0.0.1:{offload.port}", {"Cookie": offload.ada}
    with connect(f"ws://{address}/ws", origin=f"http://{address}", additional_headers=cookie, proxy=None) as ada:
        assert "permessage-deflate" in ada.request.headers["Sec-WebSocket-Extensions"]
        assert ada.protocol.extensions == []
        ada.send("☎" * 65_536)
        while "text" not in (news := json.loads(ada.recv(timeout=30))):
            pass
        assert news["text"] == "☎" * 65_536
        ada.send("*" * 65_537)
        with pytest.raises(ConnectionClosedError) as closed:
            list(ada)
        assert (closed.value.rcvd.code, closed.value.sent.code) == (1009, 1009)


def test_a_name_of_any_characters_arrives_whole(offload):
    name, database = "Zoë d'Été; 100%\u2009😀", sqlite3.connect(offload.run / "django.sqlite3", isolation_level=None)
    database.execute("UPDATE auth_user SET username = ? WHERE username = 'grace'", [name])
    try:
        with offload.connect(offload.grace) as zoe:
            zoe.send_text("bonjour")
            assert next_news(zoe, "text")["user"] == name
    finally:
        database.execute("UPDATE auth_user SET username = 'grace' WHERE username = ?", [name])
        database.close()


STRANGE_ORIGINS = {
    "another site": "https://evil.example",
    "none, as no browser would come": None,
    "a sandboxed page": "null",
    "another port": "http://127.0.0.1:1",
    "another scheme": "https://127.0.0.1:{port}",
    "ours as the beginning of another": "http://127.0.0.1:{port}.evil.example",
    "ours as the user of another": "http://127.0.0.1:{port}@evil.example",
}


def refusal(stage, headers) -> HandshakeError:
    with pytest.raises(HandshakeError) as caught, WebSocketClient(stage.port, headers=headers):
        pass
    return caught.value


@pytest.mark.core
@pytest.mark.parametrize("origin", STRANGE_ORIGINS.values(), ids=STRANGE_ORIGINS)
def test_a_page_of_another_origin_is_refused_despite_the_cookie(offload, origin):
    refused = refusal(offload, {"Cookie": offload.ada, "Origin": origin and origin.format(port=offload.port)})
    assert (refused.status, refused.body) == (403, b"no WebSocket for a page of this origin\n")


@pytest.mark.parametrize("name", ["X-Offload-User", "Offload-User", "OFFLOAD_USER"])
def test_without_a_login_no_header_opens_the_board(offload, name):
    refused = refusal(offload, {name: "ada"})
    assert (refused.status, refused.body, refused.headers["x-frame-options"]) == (403, b"log in first\n", "DENY")


@pytest.mark.parametrize("name", ["X-Offload-User", "Offload-User", "OFFLOAD_USER"])
def test_no_client_can_write_in_another_users_name(offload, name):
    with WebSocketClient(offload.port, headers={"Cookie": offload.ada, name: "grace"}) as ada:
        ada.send_text("It is me, Grace!")
        assert next_news(ada, "text")["user"] == "ada"


@pytest.mark.parametrize(
    ("header", "value", "status"),
    [
        ("Upgrade", None, 426),
        ("Upgrade", "h2c", 426),
        ("Connection", "keep-alive", 426),
        ("Sec-WebSocket-Version", "8", 426),
        ("Sec-WebSocket-Version", None, 426),
        ("Sec-WebSocket-Key", None, 400),
        ("Sec-WebSocket-Key", "c2hvcnQ=", 400),
        ("Sec-WebSocket-Key", "no base64", 400),
        ("Sec-WebSocket-Key", "\xe9\xe9\xe9\xe9", 400),
    ],
)
def test_a_request_that_is_no_websocket_gets_426(offload, header, value, status):
    refused = refusal(offload, {"Cookie": offload.ada, header: value})
    assert (refused.status, refused.headers["x-frame-options"]) == (status, "DENY")
    assert refused.body
    assert status == 400 or refused.headers["sec-websocket-version"] == "13"


HANDSHAKE = (
    "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
)


@pytest.mark.parametrize(
    ("line", "status"),
    [("GET /ws HTTP/1.0", b" 426 "), ("POST /ws HTTP/1.1", b" 405 "), ("PUT /ws HTTP/1.1", b" 405 ")],
)
def test_a_handshake_with_another_first_line_is_refused(offload, line, status):
    fields = f"Host: 127.0.0.1:{offload.port}\r\nOrigin: http://127.0.0.1:{offload.port}\r\nCookie: {offload.ada}\r\n"
    answer = fetch_raw(offload.port, f"{line}\r\n{fields}{HANDSHAKE}\r\n".encode())
    assert status in answer.partition(b"\r\n")[0]


def test_origins_in_the_settings_are_allowed_besides_our_own():
    code = (
        "from django.conf import settings\n"
        "settings.configure(BOARD_ORIGINS=['https://www.example.org'])\n"
        "from boardproject.views import is_allowed\n"
        "for origin in ('https://www.example.org', 'http://board:9090', 'https://example.org'):\n"
        "    print(is_allowed(origin, own='http://board:9090'))"
    )
    step = Path(__file__).parents[1]
    answer = subprocess.run(
        [sys.executable, "-c", code], cwd=step, capture_output=True, text=True, timeout=scaled(30), check=True
    )
    assert answer.stdout.split() == ["True", "True", "False"]


def test_lists_and_capitals_in_the_upgrade_headers_are_fine(offload):
    headers = {"Cookie": offload.ada, "Connection": "keep-alive, UPGRADE", "Upgrade": "WebSocket, h2c"}
    with WebSocketClient(offload.port, headers=headers) as ada:
        assert next_news(ada, "clients")


def test_a_post_is_not_offloaded(offload):
    connection = http.client.HTTPConnection("127.0.0.1", offload.port, timeout=scaled(30))
    connection.request("POST", "/ws", headers={"Cookie": offload.ada, "Connection": "close"})
    assert connection.getresponse().status == 405
    connection.close()


def enter(browser, stage, user, password):
    """A page of the board in a profile of its own, connected."""
    page = browser.new_context().new_page()
    page.goto(f"{stage.url}/")
    page.get_by_label("User name").fill(user)
    page.get_by_label("Password").fill(password)
    page.get_by_role("button", name="Log in").click()
    page.get_by_text("here.").wait_for()
    return page


def test_two_browsers_write_to_each_other_and_no_message_is_html(offload):
    message = "<img src=x onerror=document.title='broken'> hello"
    with chromium() as browser:
        ada, grace = enter(browser, offload, "ada", "lovelace"), enter(browser, offload, "grace", "hopper")
        ada.get_by_label("Message", exact=True).fill(message)
        ada.get_by_role("button", name="Say it").click()
        assert grace.get_by_role("listitem").inner_text() == f"ada{message}"
        assert grace.title() == "The board"
