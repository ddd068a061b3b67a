"""Announcements: published once, and only by users who are logged in."""

import json
import uuid

import pytest

from offload_lab.clients.session import TOKEN
from offload_lab.clients.sse import SseClient


def announce(stage, text, token=None, **form):
    page = stage.ada.ask("GET", "/").body.decode()
    form = {"csrfmiddlewaretoken": TOKEN.search(page)[1], "text": text, "token": token or str(uuid.uuid4()), **form}
    return stage.ada.ask("POST", "/announce", form=form)


def test_an_announcement_that_is_sent_again_is_published_once(quiet):
    token = str(uuid.uuid4())
    with quiet.subscribe() as grace:
        grace.next()
        first, again = announce(quiet, "ä train!", token), announce(quiet, "ä train!", token)
        other = announce(quiet, "another")
        assert (first.status, again.status, other.status) == (200, 200, 200)
        assert first.body == again.body != other.body
        while (event := grace.next()).last_event_id != first.body.decode().strip():
            pass
        assert json.loads(event.data).items() >= {"who": "ada", "text": "ä train!"}.items()
        assert json.loads(grace.next().data)["text"] == "another"


@pytest.mark.parametrize("form", [{"text": ""}, {"text": "x" * 201}, {"token": "short"}], ids=str)
def test_an_invalid_announcement_is_refused(quiet, form):
    assert announce(quiet, **{"text": "fine", **form}).status == 400


@pytest.mark.core
def test_an_anonymous_client_gets_no_event_and_publishes_none(quiet):
    with SseClient(quiet.port) as anonymous:
        assert (anonymous.head.status, anonymous.read_all()) == (403, b"log in first\n")
        assert anonymous.head.get("X-Frame-Options") == ["DENY"]
    with SseClient(
        quiet.port, headers=[("X_OFFLOAD", "ada"), ("X-Backend", "a"), ("X-Offload-Backend", "a")]
    ) as forger:
        assert forger.head.status == 403
    assert quiet.ada.ask("POST", "/announce", form={"text": "no token against forgery"}).status == 403
