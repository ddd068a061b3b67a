"""The README's Django view, on the step's own INI."""

import os
from urllib.parse import quote

import pytest

from offload_lab.clients import fetch
from offload_lab.clients.session import Session
from offload_lab.stages.overrides import altered
from offload_lab.stages.stage import Stage
from offload_lab.testing import idle_workers

HELLO = b"for members\n"
SETTINGS = """
from offload_lab.stages.site.settings import *

ROOT_URLCONF = "downloads_urls"
"""
URLS = """
from django.urls import include, path
from views import download

urlpatterns = [path("files/<path:name>", download), path("", include("offload_lab.stages.site.urls"))]
"""
WSGI = """
from offload_lab.stages.site.wsgi import django_application

application = django_application("downloads_settings")
"""


@pytest.fixture(scope="module")
def stage(tmp_path_factory):
    folder = tmp_path_factory.mktemp("project")
    for name, text in (("settings", SETTINGS), ("urls", URLS), ("wsgi", WSGI)):
        (folder / f"downloads_{name}.py").write_text(text)
    lines = (f"pythonpath = {folder}", f"wsgi-file = {folder}/downloads_wsgi.py")
    step = altered("02", "xsendfile", *lines, without=["wsgi-file"])
    with Stage(step, "xsendfile", placeholders={"mib": "1"}) as stage:
        yield stage


@pytest.fixture(scope="module")
def ada(stage):
    ada = Session(stage.port)
    ada.log_in()
    return {"Cookie": ada.cookie}


@pytest.mark.parametrize("name", ["größe.txt", "价目表.pdf", 'two "words" 100%.txt'], ids=ascii)
def test_a_user_gets_the_file_from_an_offload_thread_with_djangos_headers(stage, ada, name):
    (stage.run / "served" / name).write_bytes(HELLO)
    before = idle_workers(stage)[0].offloaded
    answer = fetch(stage.port, f"/files/{quote(os.fsencode(name))}", headers=ada)
    assert (answer.status, answer.body) == (200, HELLO)
    assert "; filename*=UTF-8''" in answer.headers["Content-Disposition"]
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["X-Sendfile"] is None
    assert idle_workers(stage)[0].offloaded == before + 1
    head = fetch(stage.port, f"/files/{quote(os.fsencode(name))}", method="HEAD", headers=ada)
    assert (head.status, head.headers["Content-Length"]) == (200, str(len(HELLO)))


def test_an_anonymous_client_is_sent_to_the_login(stage):
    answer = fetch(stage.port, "/files/big.bin")
    assert (answer.status, answer.headers["Location"]) == (302, "/accounts/login/?next=/files/big.bin")


@pytest.mark.parametrize("name", ["../secret.txt", "/etc/passwd", "none", "%00", "a" * 3_000])
def test_what_is_no_file_of_ours_is_404(stage, ada, name):
    (stage.run / "secret.txt").write_text("not for clients\n")
    assert fetch(stage.port, f"/files/{name}", headers=ada).status == 404


def test_a_name_with_a_line_end_is_404_and_no_error(stage, ada):
    (stage.run / "served" / "two\nlines").write_bytes(HELLO)
    assert fetch(stage.port, "/files/two%0Alines", headers=ada).status == 404
    assert "BadHeaderError" not in stage.front.log.read_text(errors="replace")
