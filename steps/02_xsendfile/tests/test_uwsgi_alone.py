"""What uWSGI does with X-Sendfile when the app does not take care: the reasons for the app's checks."""

import http.client
import shutil
from pathlib import Path

import pytest

from offload_lab.clients import fetch, fetch_raw
from offload_lab.process.deadlines import Deadline
from offload_lab.process.server_process import free_port
from offload_lab.stages import manifest
from offload_lab.stages.stage import short_private_folder
from offload_lab.uwsgi.server import Uwsgi

FOLDER = manifest.find("02").folder


@pytest.fixture
def changed(tmp_path):
    """Start the step's xsendfile.ini: with lines of our own before it, another app if one is given, and edited."""
    processes = []

    def start(lines, app=None, edit=str):
        text = (FOLDER / "xsendfile.ini").read_text().replace("%dxsendfile.py", str(app or FOLDER / "xsendfile.py"))
        text = text.replace("%d", f"{FOLDER}/")
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
    """The day this fails on the wheel, uWSGI has been cured and the INI may honour ranges."""
    process = changed("honour-range = true")
    answer = fetch_raw(process.port, b"GET /file HTTP/1.0\r\nRange: bytes=8-15\r\n\r\n")
    head, _, body = answer.partition(b"\r\n\r\n")
    assert b"206 Partial Content" in head
    assert b"Content-Length: 8\r\n" in head
    assert (len(body) == 8) if "range" in process.engine.proved else (len(body) > 8)  # the patched uWSGI is cured


ANY_PATH = """
from offload_lab.stages.site import with_ping

@with_ping
def application(environ, start_response):
    headers = [("Content-Type", "text/plain"), ("X-Sendfile", environ["QUERY_STRING"])]
    start_response("200 OK", headers)
    return []
"""
BY_ITSELF = "static:"  # the action whose failure nothing in the INI catches


@pytest.fixture
def careless(changed, tmp_path):
    """An app that checks nothing, with static-safe set to a folder as its only guard."""
    app = tmp_path / "careless.py"
    app.write_text(ANY_PATH)
    safe = tmp_path / "safe"
    safe.mkdir()
    return lambda action="static-next:": changed(
        f"static-safe = {safe}", app, lambda ini: ini.replace("static-next:", action)
    )


def test_static_safe_does_not_confine_what_the_app_names(careless, tmp_path):
    outside = tmp_path / "outside.txt"
    outside.write_text("out of every folder called safe\n")
    answer = fetch(careless().port, f"/file?{outside}")
    assert (answer.status, answer.body) == (200, outside.read_bytes())


# a regular file that root may not read either; stat(2) calls it 0 bytes long
UNREADABLE = Path("/proc/sys/vm/compact_memory")
NOT_SENT = ["no such file", "a folder", "a link to another folder", "a file that cannot be read", "HEAD"]


def ask_for(process, tmp_path, case):
    """Ask for a file that uWSGI does not send."""
    path, method = tmp_path / "nothing", "GET"
    match case:
        case "a folder":
            path = tmp_path
        case "a link to another folder":
            path = tmp_path / "safe" / "link"
            path.symlink_to("/etc/hostname" if Path("/etc/hostname").exists() else "/etc/passwd")
        case "a file that cannot be read":
            if not UNREADABLE.exists():
                pytest.skip(f"no {UNREADABLE} here: for root every other file is readable")
            path = UNREADABLE
        case "HEAD":
            path, method = Path(__file__), "HEAD"
    return fetch(process.port, f"/file?{path}", method=method)


@pytest.mark.parametrize("case", NOT_SENT)
def test_static_alone_closes_without_a_status_where_it_sends_no_file(careless, tmp_path, case):
    with pytest.raises(http.client.RemoteDisconnected):
        ask_for(careless(BY_ITSELF), tmp_path, case)


@pytest.mark.parametrize("case", NOT_SENT)
def test_static_next_and_clearheaders_answer_404_where_no_file_is_sent(careless, tmp_path, case):
    answer = ask_for(careless(), tmp_path, case)
    assert (answer.status, answer.body) == (404, b"")
    assert answer.headers["Content-Length"] is None


DELETES_IT = """
import os
from pathlib import Path
from offload_lab.stages.site import with_ping

@with_ping
def application(environ, start_response):
    path = Path(environ["QUERY_STRING"])
    start_response("200 OK", [("X-Sendfile", str(path))])
    path.unlink()  # after the app's check, before uWSGI opens it
    return []
"""


def test_a_file_that_is_deleted_after_the_apps_check_gets_404(changed, tmp_path):
    app, file = tmp_path / "deletes.py", tmp_path / "file"
    app.write_text(DELETES_IT)
    file.write_text("soon gone\n")
    assert fetch(changed("", app).port, f"/file?{file}").status == 404


def test_static_follows_a_link_to_a_path_that_begins_like_its_own(careless, tmp_path):
    (tmp_path / "safe-not").write_text("beside the folder called safe\n")
    (tmp_path / "safe-no").symlink_to(tmp_path / "safe-not")
    answer = fetch(careless().port, f"/file?{tmp_path / 'safe-no'}")
    assert (answer.status, answer.body) == (200, b"beside the folder called safe\n")


@pytest.mark.skipif(not Path("/etc/mime.types").exists(), reason="uWSGI has no table of types here: /etc/mime.types")
@pytest.mark.parametrize(
    ("pulled", "types"), [(True, ["text/plain"]), (False, ["text/plain", "application/octet-stream"])]
)
def test_static_safe_makes_uwsgi_add_a_type_of_its_own_unless_it_is_pulled(changed, tmp_path, pulled, types):
    app, file = tmp_path / "careless.py", tmp_path / "note.txt"
    app.write_text(ANY_PATH)
    file.write_text("one type or two\n")
    fixed = ("pull-header = Content-Type FILE_TYPE\n", "${FILE_TYPE}\n", "application/octet-stream\n")
    process = changed(
        "static-safe = /srv",
        app,
        str
        if pulled
        else lambda ini: (
            ini.replace(fixed[0], "").replace("if-not = empty:${FILE_TYPE}", "run =").replace(fixed[1], fixed[2])
        ),
    )
    assert fetch(process.port, f"/file?{file}").headers.get_all("Content-Type") == types


MUCH_TO_SAY = """
from offload_lab.stages.site import with_ping

@with_ping
def application(environ, start_response):
    headers = [("Set-Cookie", "a=b"), ("Cache-Control", "no-store"), ("Content-Type", "text/html")]
    start_response("201 Created", [*headers, ("X-Sendfile", environ["QUERY_STRING"])])
    return []
"""


def test_uwsgi_drops_the_apps_status_and_every_header_that_is_not_named(changed, tmp_path):
    app = tmp_path / "app.py"
    app.write_text(MUCH_TO_SAY)
    answer = fetch(changed("", app).port, f"/file?{app}")
    assert answer.status == 200
    assert answer.headers.keys() == ["Content-Length", "Last-Modified", "Content-Type"]


@pytest.mark.parametrize(("option", "shown"), [("pull-header", False), ("collect-header", True)])
def test_a_collected_header_shows_the_path_and_a_pulled_one_does_not(tmp_path, changed, option, shown):
    app = tmp_path / "app.py"
    app.write_text(MUCH_TO_SAY)
    answer = fetch(
        changed(
            "",
            app,
            lambda ini: (
                ini.replace("pull-header", option)
                .replace("static-next:", "addvar:SENT=")
                .replace("clearheaders:404 Not Found", "last:")
            ),
        ).port,
        "/file?/a",
    )
    assert ("X-Sendfile" in answer.headers) == shown
