"""Every front, blocking.ini too: Django refuses clients that may not subscribe, whatever else they send."""

import json
import os
import stat
import subprocess
import sys

import pytest

from offload_lab.clients import fetch_raw
from offload_lab.clients.sse import request_bytes
from offload_lab.testing import idle_workers
from offload_lab.timeouts import scaled

from .conftest import ALL, OFFLOADING

every_front = pytest.mark.parametrize("stage", ALL, indirect=True)
offloading_front = pytest.mark.parametrize("stage", OFFLOADING, indirect=True)
DJANGOS = {
    "X-Frame-Options": "DENY",
    "Vary": "Cookie",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
}
SPELLINGS = ["X-Offload", "x-offload", "X_OFFLOAD", "HTTP_X_OFFLOAD", "X-Offload-to-SSE", "X_Offload_To_SSE"]
SPELLINGS += ["OFFLOAD-TYPE", "OFFLOAD_TYPE", "OFFLOAD-SERVER", "SSE-Region", "SSE_REGION", "Remote-User", "user"]
IMITATIONS = [(spelling, "grace") for spelling in SPELLINGS] + [
    ("Content-Type", "text/event-stream"),
    ("Content_Type", "text/event-stream"),
    ("X", "1\nX_OFFLOAD: grace"),
    ("X", "${X_OFFLOAD} X_OFFLOAD=grace"),
    ("X\nX_OFFLOAD", "grace"),
]
QUERY = (
    "?X_OFFLOAD=grace&OFFLOAD_TYPE=text/event-stream&user=grace&region=south&SSE_REGION=south,0,0%0d%0aX-Offload:+grace"
)
CONNECT = """
import os, socket, sys
os.setgroups([]); os.setgid(65534); os.setuid(65534)  # nobody
try:
    socket.socket(socket.AF_UNIX).connect(sys.argv[1])
except OSError as error:
    print(error.strerror)
"""


def is_refused(stage, **options):
    """Ask, and check that the answer is Django's, whole and alone."""
    with stage.subscribe(**options) as client:
        assert client.head.status == 403
        assert client.read_all() == b"log in first\n"
    answered = {name: value for name, value in client.head.headers if name in DJANGOS}
    assert answered == DJANGOS
    assert client.head.get("Content-Length") == ["13"]
    assert not client.head.get("X-Offload-to-SSE")


@pytest.mark.core
@every_front
def test_an_anonymous_client_is_refused(stage):
    is_refused(stage, cookie="")


@every_front
def test_a_made_up_session_is_refused(stage):
    for cookie in ("sessionid=0123456789abcdef0123456789abcdef", "sessionid=", "sessionid='; --"):
        is_refused(stage, cookie=cookie)


@every_front
def test_an_expired_session_is_refused(stage):
    with stage.changed("django_session", "expire_date", "2001-01-01 00:00:00"):
        is_refused(stage)


@every_front
def test_an_inactive_user_is_refused(stage):
    with stage.changed("auth_user", "is_active", 0):
        is_refused(stage)


@every_front
def test_another_method_is_refused(stage):
    for method in ("HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "SUBSCRIBE"):
        answer = stage.ada.ask(method, "/subscribe")
        assert answer.status == 405
        assert answer.body == (b"" if method == "HEAD" else b"only GET\n")
        assert {name: answer.headers[name] for name in DJANGOS} == {**DJANGOS, "Vary": None}
        assert answer.headers["Allow"] == "GET"


@every_front
def test_an_anonymous_client_with_djangos_headers_is_refused(stage):
    [before] = idle_workers(stage)
    for headers in [*([header] for header in IMITATIONS), IMITATIONS]:
        is_refused(stage, cookie="", path="/subscribe" + QUERY, headers=headers)
    assert idle_workers(stage)[0].offloaded == before.offloaded


@every_front
def test_a_broken_line_ends_the_connection(stage):
    broken = request_bytes(stage.port, stage.step.path, headers=[("X", "1\rX_OFFLOAD: grace")])
    assert fetch_raw(stage.port, broken)[:13] in (b"", b"HTTP/1.1 400 ")  # the patched uWSGI says why


@every_front
def test_ada_cannot_be_grace(stage):
    with stage.subscribe() as ada:
        ticket = ada.next()
    assert json.loads(ticket.data)["for"] == "ada"
    one_by_one = [] if stage.variant.name == "blocking" else [[header, header] for header in IMITATIONS]
    for headers in [*one_by_one, IMITATIONS]:
        with stage.subscribe(path="/subscribe" + QUERY, headers=headers) as tricky:
            assert tricky.next() == ticket


@offloading_front
def test_the_backends_socket_is_for_our_user_only(stage):
    path = stage.run / f"{stage.backend.name}.sock"
    assert stat.filemode(path.stat().st_mode) == "srwx------"
    assert stat.filemode(stage.run.stat().st_mode) == "drwx------"
    for file in stage.run.iterdir():
        if file.suffix != ".log":  # the harness's
            assert not stat.S_IMODE(file.stat().st_mode) & 0o077, file


@offloading_front
@pytest.mark.skipif(os.geteuid() != 0, reason="only root can try as another user")
def test_another_user_cannot_connect_to_the_backend(stage):
    path = stage.run / f"{stage.backend.name}.sock"
    stage.run.chmod(0o711)  # leave the folder's protection out, the socket has its own
    try:
        tried = subprocess.run(
            [sys.executable, "-I", "-S", "-c", CONNECT, str(path)], capture_output=True, text=True, timeout=scaled(30)
        )
    finally:
        stage.run.chmod(0o700)
    assert (tried.stdout, tried.stderr) == ("Permission denied\n", "")
