"""What each task of this step must do, for any answer: these tests also run against a learner's folder."""

import http.client
from contextlib import contextmanager

import pytest

from offload_lab.clients import SlowReader, fetch, ping
from offload_lab.exercises.connection_owner import owner_in_words, wait_for_owner
from offload_lab.exercises.expectation import expect
from offload_lab.exercises.sandbox import sandbox
from offload_lab.stages import manifest
from offload_lab.stages.stage import Stage

STEP = manifest.find("02_xsendfile")
HELLO = b"the worker is free\n"
BEFORE_THE_INI = ["--pull-header", "X-Sendfile X_SENDFILE"]  # so that the INI's own line for it does not matter
# the routes end before a file is sent, and tell the client what they knew
ROUTES_OFF = ["--response-route", "^/file addheader:X-Told: ${X_SENDFILE}", "--response-route", "^/file last:"]

NAMES_WHAT_IT_IS_TOLD = """
from offload_lab.stages.site import make_file, run_folder, with_ping

HELLO = make_file(run_folder() / "served" / "hello.txt", mib=1)

@with_ping
def application(environ, start_response):
    start_response("200 OK", [("X-Sendfile", str(HELLO))])
    return []
"""


@contextmanager
def stage_of(step=STEP, *, mib=1, options=()):
    with Stage(step, "xsendfile", placeholders={"mib": str(mib)}, options=options) as stage:
        (stage.run / "served" / "hello.txt").write_bytes(HELLO)
        (stage.run / "secret.txt").write_text("not for clients\n")
        yield stage


@pytest.fixture
def other_app():
    """The step's INI before an app that names a file whenever it is asked."""
    with sandbox(STEP) as copy:
        (copy.folder / "xsendfile.py").write_text(NAMES_WHAT_IT_IS_TOLD)
        yield copy


@pytest.fixture
def static_file(tmp_path):
    """A folder with a file in it that uWSGI sends by itself, without app and routes."""
    (tmp_path / "static_file").write_bytes(b"fragile " * 2**21)
    return tmp_path


def path_is(stage, path):
    """In words: the path from the run folder on, whose name says nothing."""
    return path.replace(f"{stage.run}/", "") if path else "nothing"


def test_task_pull_header(other_app):
    with stage_of(other_app, options=ROUTES_OFF) as stage:
        answer = fetch(stage.port, "/file")
        kept, shown = (path_is(stage, answer.headers[name]) for name in ("X-Told", "X-Sendfile"))
        called = "GET /file, and stopped the routes before the file is sent"
        expect(f"{called}: the value of ${{X_SENDFILE}}", kept, "served/hello.txt")
        expect(f"{called}: the header X-Sendfile that the client sees", shown, "nothing")


def test_task_offload_threads(static_file):
    """The offload thread alone, with a file that bypasses app and routes."""
    with stage_of(options=["--check-static", str(static_file)]) as stage:
        with SlowReader(stage.port, "/static_file", rate_mib_s=1) as reader:
            sender = owner_in_words(*wait_for_owner(stage, reader))
            expect("GET /static_file, a file that needs no app", sender, "an offload thread")
            assert ping(stage.port, timeout_s=30).status == 200


def test_task_route(other_app):
    with stage_of(other_app, options=BEFORE_THE_INI) as stage:
        got = "an empty reply"
        try:
            answer = fetch(stage.port, "/file")
            got = f"{answer.status} and {len(answer.body)} bytes"
        except http.client.RemoteDisconnected:
            pass
        expect("GET /file, and the app named hello.txt", got, f"200 and {len(HELLO)} bytes")


def test_task_named():
    with stage_of(options=[*BEFORE_THE_INI, *ROUTES_OFF]) as stage:
        for name in ("hello.txt", "big.bin"):
            answer = fetch(stage.port, f"/file?name={name}")
            path = path_is(stage, answer.headers["X-Told"])
            expect(f"GET /file?name={name}, and read the header X-Sendfile of the app", path, f"served/{name}")


def test_task_confine():
    """By HEAD, which the app answers alone: from a GET, uWSGI would keep a link that leads out."""
    with stage_of() as stage:
        served = stage.run / "served"
        (served / "link").symlink_to(stage.run / "secret.txt")
        (stage.run / "served-not").mkdir()
        (stage.run / "served-not" / "secret.txt").write_text("not for clients\n")
        outside = ["../secret.txt", f"{stage.run}/secret.txt", "link", "../served-not/secret.txt"]
        for name, status in [("hello.txt", 200), *((name, 404) for name in (*outside, ".", "nothing", "%00"))]:
            shown = name.replace(str(stage.run), "/…")
            called = f"HEAD /file?name={shown}, which the app answers alone"
            expect(called, fetch(stage.port, f"/file?name={name}", method="HEAD").status, status)
