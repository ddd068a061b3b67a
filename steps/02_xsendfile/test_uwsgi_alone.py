"""What uWSGI does with X-Sendfile when the app does not take care: the reasons for the app's checks."""

import http.client
import shutil
from pathlib import Path

import pytest

from offload_lab import manifest
from offload_lab.clients import fetch, fetch_raw
from offload_lab.process import Deadline
from offload_lab.stage import short_private_folder
from offload_lab.uwsgi import Uwsgi, free_port

FOLDER = manifest.find("02").folder


@pytest.fixture
def changed(tmp_path):
    """Start the step's xsendfile.ini: with lines of our own before it, another app if one is given, and edited."""
    processes = []

    def start(lines, app=None, edit=str):
        text = (FOLDER / "xsendfile.ini").read_text().replace("%d../..", str(FOLDER.parents[1]))
        text = text.replace("%dxsendfile.py", str(app or FOLDER / "xsendfile.py"))
        ini = tmp_path / "xsendfile.ini"
        ini.write_text(edit(text.replace("[uwsgi]\n", f"[uwsgi]\n{lines}\n")))
        run = short_private_folder()
        process = Uwsgi(ini, run, port=free_port(), placeholders={"mib": "1"})
        processes.append(process)
        process.start()
        process.wait_ready(Deadline(30))
        return process

    yield start
    for process in processes:
        process.stop()
        shutil.rmtree(process.run)


def test_honour_range_makes_an_offload_thread_send_more_than_it_announced(changed):
    """The day this fails, uWSGI has been cured and the INI may honour ranges."""
    process = changed("honour-range = true")
    answer = fetch_raw(process.port, b"GET /file HTTP/1.0\r\nRange: bytes=8-15\r\n\r\n")
    head, _, body = answer.partition(b"\r\n\r\n")
    assert b"206 Partial Content" in head
    assert b"Content-Length: 8\r\n" in head
    assert len(body) > 8


ANY_PATH = """
from offload_lab.site import with_ping

@with_ping
def application(environ, start_response):
    start_response("200 OK", [("X-Sendfile", environ["QUERY_STRING"])])
    return []
"""


@pytest.fixture
def careless(changed, tmp_path):
    """An app that checks nothing, with static-safe set to a folder as its only guard."""
    app = tmp_path / "careless.py"
    app.write_text(ANY_PATH)
    safe = tmp_path / "safe"
    safe.mkdir()
    return changed(f"static-safe = {safe}", app)


def test_static_safe_does_not_confine_what_the_app_names(careless, tmp_path):
    outside = tmp_path / "outside.txt"
    outside.write_text("out of every folder called safe\n")
    answer = fetch(careless.port, f"/file?{outside}")
    assert (answer.status, answer.body) == (200, outside.read_bytes())


def test_static_safe_does_stop_a_link_that_leaves_its_folder_for_another(careless, tmp_path):
    link = tmp_path / "safe" / "link"
    link.symlink_to("/etc/hostname" if Path("/etc/hostname").exists() else "/etc/passwd")
    with pytest.raises(http.client.RemoteDisconnected):
        fetch(careless.port, f"/file?{link}")


@pytest.mark.parametrize("missing", ["no such file", "a folder"])
def test_uwsgi_alone_answers_a_file_that_it_cannot_send_with_an_empty_reply(careless, tmp_path, missing):
    path = tmp_path / "nothing" if missing == "no such file" else tmp_path
    with pytest.raises(http.client.RemoteDisconnected):
        fetch(careless.port, f"/file?{path}")


def test_uwsgi_alone_answers_head_with_an_empty_reply(careless, tmp_path):
    shutil.copy(__file__, tmp_path / "safe" / "file")
    with pytest.raises(http.client.RemoteDisconnected):
        fetch(careless.port, f"/file?{tmp_path / 'safe' / 'file'}", method="HEAD")


def test_static_follows_a_link_to_a_path_that_begins_like_its_own(careless, tmp_path):
    (tmp_path / "safe-not").write_text("beside the folder called safe\n")
    (tmp_path / "safe-no").symlink_to(tmp_path / "safe-not")
    answer = fetch(careless.port, f"/file?{tmp_path / 'safe-no'}")
    assert (answer.status, answer.body) == (200, b"beside the folder called safe\n")


@pytest.mark.skipif(not Path("/etc/mime.types").exists(), reason="uWSGI has no table of types here: /etc/mime.types")
def test_static_safe_gives_a_file_a_second_content_type(careless, tmp_path):
    (tmp_path / "safe" / "note.txt").write_text("two types\n")
    answer = fetch(careless.port, f"/file?{tmp_path / 'safe' / 'note.txt'}")
    assert answer.headers.get_all("Content-Type") == ["text/plain", "application/octet-stream"]


MUCH_TO_SAY = """
from offload_lab.site import with_ping

@with_ping
def application(environ, start_response):
    headers = [("Set-Cookie", "a=b"), ("Cache-Control", "no-store"), ("Content-Type", "text/html")]
    start_response("201 Created", [*headers, ("X-Sendfile", environ["QUERY_STRING"])])
    return []
"""


def test_uwsgi_drops_the_apps_status_and_all_its_headers_cookies_too(changed, tmp_path):
    app = tmp_path / "app.py"
    app.write_text(MUCH_TO_SAY)
    answer = fetch(changed("", app).port, f"/file?{app}")
    assert answer.status == 200
    assert answer.headers.keys() == ["Content-Length", "Last-Modified", "Content-Type", "X-Content-Type-Options"]


@pytest.mark.parametrize(("option", "shown"), [("pull-header", False), ("collect-header", True)])
def test_without_the_route_a_collected_header_shows_the_path_and_a_pulled_one_does_not(
    tmp_path, changed, option, shown
):
    app = tmp_path / "app.py"
    app.write_text(MUCH_TO_SAY)
    answer = fetch(
        changed("", app, lambda ini: ini.replace("pull-header", option).replace("static:", "addvar:SENT=")).port,
        "/file?/a",
    )
    assert ("X-Sendfile" in answer.headers) == shown
