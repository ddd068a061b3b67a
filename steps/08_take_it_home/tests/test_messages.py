"""WebSockets through nginx with TLS: Django's refusals, messages by way of Redis, what a client that was away gets."""

import pytest

from .talker import talking


def test_what_one_writes_both_receive(shop):
    with talking(shop, shop.ada) as (ada, _), talking(shop, shop.grace) as (grace, _):
        for writer, user in ((ada, "ada"), (grace, "grace")):
            writer.send(text := f"<b>größe</b> from {user}")
            got = [reader.receive() for reader in (ada, grace)]
            assert [(message["user"], message["text"]) for message in got] == [(user, text)] * 2
            assert got[0]["id"] == got[1]["id"]


def test_a_client_that_was_away_gets_what_was_written_meanwhile(shop):
    with talking(shop, shop.ada) as (ada, hello):
        for text in ("one", "two"):
            ada.send(text)
            ada.receive()
        with talking(shop, shop.grace, f"/ws?after={hello['id']}") as (grace, _):
            assert [grace.receive()["text"] for _ in range(2)] == ["one", "two"]
    with talking(shop, shop.grace, "/ws?after=1-1") as (grace, _):
        assert grace.receive()["reset"] is True


def test_pings_and_fragments_and_close_codes_are_the_protocols_own(shop):
    with talking(shop, shop.ada) as (ada, _):
        ada.ping()
        ada.send(["in ", "three ", "frames"])
        assert ada.receive()["text"] == "in three frames"
        ada.close(4001, "done")
        assert ada.close_code == 4001


def test_too_long_a_message_and_a_binary_one_are_closed_with_their_codes(shop):
    closed = pytest.importorskip("websockets.exceptions").ConnectionClosed
    for message, code in (("x" * 70_000, 1009), (b"binary", 1003)):
        with talking(shop, shop.ada) as (ada, _):
            ada.send(message)
            with pytest.raises(closed):
                ada.receive()
            assert ada.close_code == code


@pytest.mark.parametrize(
    ("changes", "status"),
    [({"origin": "https://evil.example"}, 403), ({"origin": None}, 403), ({"additional_headers": {}}, 403)],
    ids=["another-sites-page", "no-origin", "anonymous"],
)
def test_django_refuses_with_its_own_answer(shop, changes, status):
    invalid = pytest.importorskip("websockets.exceptions").InvalidStatus
    with pytest.raises(invalid) as refused, talking(shop, shop.ada, **changes):
        pass
    assert refused.value.response.status_code == status


def test_a_request_that_is_no_websocket_gets_426(shop):
    with shop.http(shop.ada) as client:
        answer = client.get("/ws")
    assert (answer.status_code, answer.headers["sec-websocket-version"]) == (426, "13")
