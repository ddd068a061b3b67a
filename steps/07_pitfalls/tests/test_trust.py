"""content_type_bypass, static_safe, anonymous_user: what an anonymous client gets from a front that trusts it."""

import http.client
import json

import pytest

from offload_lab.clients import fetch
from offload_lab.testing import idle_workers

KNOWN = {"If-Modified-Since": "Thu, 01 Jan 2026 00:00:00 GMT"}  # makes Django say 304, without a Content-Type
FORGED = {**KNOWN, "Content-Type": "text/event-stream"}


@pytest.mark.core
def test_content_type_bypass_broken_lets_anonymous_clients_bypass_django(stage_of):
    stage = stage_of("content_type_bypass_broken")
    assert fetch(stage.port, "/subscribe").status == 403
    assert fetch(stage.port, "/opening-hours", headers=KNOWN).status == 304
    with stage.subscribe(path="/opening-hours", headers=FORGED.items()) as client:
        assert client.head.status == 200
        assert json.loads(client.next().data)["for"] == "a member"
    assert idle_workers(stage)[0].offloaded == 1


@pytest.mark.core
def test_content_type_bypass_fixed_believes_django_only(stage_of):
    stage = stage_of("content_type_bypass_fixed")
    for path, status in (("/opening-hours", 304), ("/subscribe", 403)):
        assert fetch(stage.port, path, headers=FORGED).status == status
    assert idle_workers(stage)[0].offloaded == 0
    with stage.subscribe(cookie=stage.log_in().cookie) as ada:
        assert json.loads(ada.next().data)["for"] == "a member"


@pytest.fixture
def static_safe(stage_of):
    """That variant with a file beside its served folder, and the file."""

    def with_secret(variant):
        stage = stage_of(variant)
        secret = stage.run / "secret.txt"
        secret.write_text("not for clients\n")
        return stage, secret

    return with_secret


@pytest.mark.core
def test_static_safe_broken_sends_any_file(static_safe):
    stage, secret = static_safe("static_safe_broken")
    assert fetch(stage.port, f"/file?name={secret}").body == secret.read_bytes()
    passwd = fetch(stage.port, "/file?name=/etc/passwd")
    assert passwd.body.startswith(b"root:")


@pytest.mark.parametrize("name", ["../secret.txt", "link", "nothing"])
def test_static_safe_broken_has_no_answer_for_what_it_does_stop(static_safe, name):
    stage, secret = static_safe("static_safe_broken")
    link = stage.run / "served" / "link"
    if not link.is_symlink():
        link.symlink_to(secret)
    with pytest.raises(http.client.RemoteDisconnected):
        fetch(stage.port, f"/file?name={name}")


@pytest.mark.core
def test_static_safe_fixed_sends_what_is_served_and_nothing_else(static_safe):
    stage, secret = static_safe("static_safe_fixed")
    for name in (secret, "/etc/passwd", "../secret.txt", "nothing"):
        assert fetch(stage.port, f"/file?name={name}").status == 404
    assert fetch(stage.port, "/file").body == (stage.run / "served" / "big.bin").read_bytes()


@pytest.mark.core
def test_anonymous_user_broken_streams_to_an_anonymous_client(stage_of):
    with stage_of("anonymous_user_broken").subscribe() as client:
        assert client.head.status == 200
        assert json.loads(client.next().data)["for"] == "AnonymousUser"


@pytest.mark.core
def test_anonymous_user_fixed_refuses_anonymous_clients_and_names_users(stage_of):
    stage = stage_of("anonymous_user_fixed")
    assert fetch(stage.port, "/subscribe").status == 403
    assert idle_workers(stage)[0].offloaded == 0
    with stage.subscribe(cookie=stage.log_in().cookie) as ada:
        assert json.loads(ada.next().data)["for"] == "ada"
