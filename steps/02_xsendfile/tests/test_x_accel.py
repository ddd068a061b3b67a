"""X-Accel-Redirect with a real nginx: any name, the app's headers, ranges, and nothing from outside."""

import os
import socket
import sys
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from urllib.parse import quote

import psutil
import pytest

from offload_lab.clients import fetch, ping
from offload_lab.errors import MissingDependencyError
from offload_lab.process.polling import wait_for
from offload_lab.stages import manifest, nginx
from offload_lab.stages.overrides import altered
from offload_lab.stages.stage import Stage
from offload_lab.testing import idle_workers, require

from .test_xsendfile import HELLO, NAMES, OUTSIDE

STEP = "02_xsendfile"


@pytest.fixture(scope="module")
def nginx_here():
    try:
        nginx.find()
    except MissingDependencyError as missing:
        require(False, missing.what, missing.install)


@pytest.fixture(scope="module")
def stage(nginx_here):
    with Stage(STEP, "x_accel", placeholders={"mib": "1"}) as stage:
        (stage.run / "served" / "hello.txt").write_bytes(HELLO)
        (stage.run / "secret.txt").write_text("not for clients\n")
        yield stage


def ask(stage, name, **options):
    return fetch(stage.proxy.port, f"/file?name={name}", **options)


@pytest.mark.core
def test_nginx_sends_the_file_with_the_apps_headers_not_the_internal_url(stage):
    answer = ask(stage, "hello.txt")
    assert (answer.status, answer.body) == (200, HELLO)
    assert answer.headers["Server"].startswith("nginx")
    assert answer.headers["X-Accel-Redirect"] is None
    assert answer.headers["Content-Type"] == "text/plain"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Content-Security-Policy"] == "default-src 'none'; sandbox"


@pytest.mark.core
def test_a_large_file_arrives_whole_and_never_passes_the_worker(stage):
    assert fetch(stage.proxy.port, "/file").body == (stage.run / "served" / "big.bin").read_bytes()
    assert fetch(stage.port, "/file").body == b"", "the front's own answer has no file in it"


@pytest.mark.parametrize("name", NAMES, ids=ascii)
def test_any_name_that_a_file_can_have_is_served_under_that_name(stage, name):
    (stage.run / "served" / name).write_bytes(os.fsencode(name))
    answer = ask(stage, quote(os.fsencode(name)))
    assert (answer.status, answer.body) == (200, os.fsencode(name))
    assert answer.headers["Content-Disposition"].startswith("attachment; filename=")
    assert "; filename*=UTF-8''" in answer.headers["Content-Disposition"]


@pytest.mark.parametrize(
    ("wanted", "status", "came", "body"),
    [
        ("bytes=4-8", 206, f"bytes 4-8/{len(HELLO)}", HELLO[4:9]),
        ("bytes=-5", 206, f"bytes {len(HELLO) - 5}-{len(HELLO) - 1}/{len(HELLO)}", HELLO[-5:]),
        ("bytes=99-", 416, f"bytes */{len(HELLO)}", None),
    ],
)
def test_ranges_work(stage, wanted, status, came, body):
    answer = ask(stage, "hello.txt", headers={"Range": wanted})
    assert (answer.status, answer.headers["Content-Range"]) == (status, came)
    assert body is None or answer.body == body


def test_head_and_if_modified_since_work(stage):
    got, head = ask(stage, "hello.txt"), ask(stage, "hello.txt", method="HEAD")
    assert (head.status, head.body, head.headers["Content-Length"]) == (200, b"", str(len(HELLO)))
    again = ask(stage, "hello.txt", headers={"If-Modified-Since": got.headers["Last-Modified"]})
    assert (again.status, again.body) == (304, b"")


@pytest.mark.parametrize("name", OUTSIDE)
def test_a_name_that_is_no_file_of_ours_gets_404(stage, name):
    assert ask(stage, name).status == 404


@pytest.mark.parametrize(
    "target", ["/served/hello.txt", "/served/../secret.txt", "//served/hello.txt", "/%73erved/hello.txt"]
)
def test_no_client_can_ask_for_the_internal_location(stage, target):
    assert fetch(stage.proxy.port, target).status == 404


NAMES_WHAT_IT_IS_TOLD = """
from offload_lab.stages.site import with_ping

@with_ping
def application(environ, start_response):
    start_response("200 OK", [("X-Accel-Redirect", f"/served/{environ['QUERY_STRING']}")])
    return []
"""


@pytest.mark.parametrize(("name", "status"), [("hello.txt", 200), ("link", 403), ("../secret.txt", 404), ("none", 404)])
def test_nginx_stays_in_the_folder_whatever_the_app_names(nginx_here, tmp_path, name, status):
    """As after a link that came between the app's check and nginx: with static: nothing but the app confines."""
    (tmp_path / "careless.py").write_text(NAMES_WHAT_IT_IS_TOLD)
    step = altered(STEP, "x_accel", f"wsgi-file = {tmp_path / 'careless.py'}", without=["wsgi-file"])
    with Stage(step, "x_accel") as stage:
        (stage.run / "served").mkdir()
        (stage.run / "served" / "hello.txt").write_bytes(HELLO)
        (stage.run / "secret.txt").write_text("not for clients\n")
        (stage.run / "served" / "link").symlink_to(stage.run / "secret.txt")
        answer = fetch(stage.proxy.port, f"/file?{name}")
        assert (answer.status, b"not for clients" in answer.body) == (status, False)


# --- the price of a proxy that buffers

BUFFERING = """
        location / {
            proxy_pass http://127.0.0.1:9090;
        }
"""


def temporary_bytes(proxy):
    """What the proxy's workers have in their temporary files."""
    folder = proxy.run / "proxy"
    total = 0
    for file in [Path(f"/proc/{pid}/fd/{fd}") for pid in proxy.workers() for fd in os.listdir(f"/proc/{pid}/fd")]:
        with suppress(FileNotFoundError):  # closed meanwhile
            if os.readlink(file).startswith(f"{folder}/"):
                total += file.stat().st_size
    return total


@contextmanager
def behind_nginx(tmp_path, location):
    """Step 02's xsendfile, whose file an offload thread sends, behind an nginx that passes everything on."""
    conf = (manifest.find(STEP).folder / "x_accel.conf").read_text()
    (tmp_path / "plain.conf").write_text(conf[: conf.index("        # nginx reads")] + location + "    }\n}\n")
    step = manifest.find(STEP)
    variant = replace(step.variant("xsendfile"), proxy=str(tmp_path / "plain.conf"))
    with Stage(replace(step, variants=(variant,)), "xsendfile") as stage:
        yield stage


def stalled_client(port):
    """Asks for 64 MiB and reads nothing."""
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    client.connect(("127.0.0.1", port))
    client.sendall(b"GET /file HTTP/1.0\r\n\r\n")
    return client


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_an_nginx_that_buffers_keeps_a_stalled_clients_file_on_disk(nginx_here, tmp_path):
    with behind_nginx(tmp_path, BUFFERING) as stage, stalled_client(stage.proxy.port):
        wait_for(lambda: temporary_bytes(stage.proxy) > 50 * 2**20, 60, "most of 64 MiB in nginx's temporary file")


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_an_nginx_without_a_temporary_file_leaves_a_client_to_uwsgi(nginx_here, tmp_path):
    location = BUFFERING.replace("9090;", "9090;\n            proxy_max_temp_file_size 0;")
    with behind_nginx(tmp_path, location) as stage, stalled_client(stage.proxy.port):
        wait_for(lambda: stage.workers()[0].offloaded == 1, 30, "the offload")
        assert ping(stage.port, timeout_s=30).status == 200
        [held] = [
            connection
            for connection in psutil.Process(stage.workers()[0].pid).net_connections()
            if connection.status == "ESTABLISHED"
        ]
        assert held.laddr.port == stage.port
        assert temporary_bytes(stage.proxy) == 0


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_x_accel_keeps_no_copy_for_a_stalled_client(nginx_here):
    with Stage(STEP, "x_accel") as stage, stalled_client(stage.proxy.port) as client:
        client.settimeout(30)
        assert client.recv(15) == b"HTTP/1.1 200 OK"
        assert temporary_bytes(stage.proxy) == 0
        idle_workers(stage)  # its worker is free, while the client has read fifteen bytes
