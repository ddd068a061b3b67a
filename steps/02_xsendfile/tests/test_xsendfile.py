"""X-Sendfile: who is kept waiting, what can be fetched, and what becomes of the request's conditions."""

import os
import re
import socket
import string
from urllib.parse import quote, unquote

import pytest

from offload_lab.clients import SlowReader, fetch, fetch_raw, ping
from offload_lab.inspect.socket_owners import find_socket_owners
from offload_lab.process.polling import wait_for
from offload_lab.stages.stage import Stage
from offload_lab.testing import idle_workers
from offload_lab.timeouts import scaled

STEP = "02_xsendfile"
HELLO = b"the worker is free\n"
FILENAMES = re.compile(r"attachment; filename=\"([^\"]*)\"; filename\*=UTF-8''([^;]*)")
PLAIN = {*string.ascii_letters, *string.digits, *string.punctuation, " "} - {*'"\\%'}


@pytest.fixture(scope="module")
def stage():
    with Stage(STEP, "xsendfile") as stage:
        (stage.run / "served" / "hello.txt").write_bytes(HELLO)
        (stage.run / "secret.txt").write_text("not for clients\n")
        yield stage


@pytest.mark.core
def test_blocking_delays_a_bystander_until_the_download_ends():
    with Stage(STEP, "blocking") as stage, SlowReader(stage.port, "/file", rate_mib_s=4) as reader:
        wait_for(lambda: reader.received, 10, "the first bytes of the download")
        with socket.create_connection(("127.0.0.1", stage.port)) as bystander:
            bystander.sendall(b"GET /ping HTTP/1.0\r\n\r\n")
            [holder] = find_socket_owners(stage.port, reader.port, stage.front.pids())
            assert holder.pid == stage.workers()[0].pid
            bystander.setblocking(False)
            with pytest.raises(BlockingIOError):
                bystander.recv(1)
            assert not reader.done.is_set()
            reader.hurry()
            bystander.settimeout(scaled(30))
            assert bystander.recv(12) == b"HTTP/1.0 200"
        assert idle_workers(stage)[0].offloaded == 0


@pytest.mark.core
def test_xsendfile_answers_a_bystander_while_a_thread_sends_the_file(stage):
    before = idle_workers(stage)[0].offloaded
    with SlowReader(stage.port, "/file", rate_mib_s=4) as reader:
        pong = ping(stage.port, timeout_s=30)
        [worker] = idle_workers(stage)
        assert not reader.done.is_set()
        assert pong.pid == worker.pid
        assert worker.offloaded == before + 1
        [holder] = find_socket_owners(stage.port, reader.port, stage.front.pids())
        assert holder.pid == worker.pid
        assert holder.tid != worker.pid, "the worker's main thread owns the client's socket"


def test_the_file_arrives_whole(stage):
    answer = fetch(stage.port, "/file")
    assert (answer.status, answer.headers["Content-Length"]) == (200, str(len(answer.body)))
    assert answer.body == (stage.run / "served" / "big.bin").read_bytes()


def test_the_client_sees_the_file_and_the_apps_headers_but_not_the_path(stage):
    answer = fetch(stage.port, "/file?name=hello.txt")
    assert (answer.status, answer.body) == (200, HELLO)
    assert answer.headers["X-Sendfile"] is None
    assert answer.headers.get_all("Content-Type") == ["text/plain"]
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Content-Security-Policy"] == "default-src 'none'; sandbox"
    assert answer.headers.get_content_disposition() == "attachment"


OUTSIDE = [
    "../secret.txt",
    "..%2fsecret.txt",
    "%2e%2e%2fsecret.txt",
    "%252e%252e%252fsecret.txt",
    "....//secret.txt",
    "/etc/passwd",
    "//etc/passwd",
    "%2fetc%2fpasswd",
    "file:///etc/passwd",
    "..\\secret.txt",
    "..%5csecret.txt",
    "hello.txt%00.png",
    "%00",
    "hello.txt/../../secret.txt",
    ".",
    "",
    "%ff%fe",
    "a" * 300,
    "no-such-file",
    "hello.txt&name=../secret.txt",
    "hello.txt%0d%0aX-Sendfile:%20/etc/passwd",
]
NAMES = [
    "größe.txt",
    "价目表.pdf",
    "two words.txt",
    'say "hi".txt',
    "it's.txt",
    "100%.txt",
    "a%20b.txt",
    "a+b&c=d;e,f#g?.txt",
    "back\\slash.txt",
    "new\nline\r\n.txt",
    "tab\tbell\a.txt",
    "${X_SENDFILE}.txt",
    "-rf",
    "...",
    "a" * 251 + ".txt",
    "é" * 127,
    os.fsdecode(b"latin-1 gr\xf6\xdfe.txt"),
    os.fsdecode(b"\xff\xfe.bin"),
]


@pytest.mark.parametrize("name", NAMES, ids=ascii)
def test_any_name_that_a_file_can_have_is_served_under_that_name(stage, name):
    (stage.run / "served" / name).write_bytes(os.fsencode(name))
    answer = fetch(stage.port, f"/file?name={quote(os.fsencode(name))}")
    assert (answer.status, answer.body) == (200, os.fsencode(name))
    head = fetch(stage.port, f"/file?name={quote(os.fsencode(name))}", method="HEAD")
    assert head.headers["Content-Disposition"] == answer.headers["Content-Disposition"]
    plain, whole = FILENAMES.fullmatch(answer.headers["Content-Disposition"]).groups()
    assert unquote(whole) == os.fsencode(name).decode("utf-8", "replace")
    assert plain == "".join(letter if letter in PLAIN else "_" for letter in name)


@pytest.mark.parametrize("name", ["größe.txt", "价目表.pdf"])
def test_a_name_that_the_client_did_not_encode_is_the_same_name(stage, name):
    (stage.run / "served" / name).write_text("as typed\n")
    answer = fetch_raw(stage.port, f"GET /file?name={name} HTTP/1.1\r\n\r\n".encode())
    assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
    assert answer.endswith(b"\r\n\r\nas typed\n")


@pytest.mark.core
@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("page.html", "text/html"),
        ("photo.jpg", "image/jpeg"),
        ("backup.tar.gz", "application/octet-stream"),
        ("no-ending", "application/octet-stream"),
    ],
)
def test_the_type_comes_from_the_ending_and_a_packed_file_stays_packed(stage, name, kind):
    (stage.run / "served" / name).write_bytes(HELLO)
    answer = fetch(stage.port, f"/file?name={name}")
    assert (answer.headers.get_all("Content-Type"), answer.headers["Content-Encoding"]) == ([kind], None)


@pytest.mark.parametrize("length", [300, 2_000, 3_000])
def test_a_name_that_is_too_long_for_a_file_gets_404(stage, length):
    answer = fetch(stage.port, f"/file?name={'a' * length}")
    assert (answer.status, answer.body) == (404, b"404 Not Found\n")


@pytest.mark.parametrize("name", OUTSIDE)
def test_a_name_that_is_no_file_of_ours_gets_404_with_a_body(stage, name):
    answer = fetch(stage.port, f"/file?name={name}")
    assert (answer.status, answer.body) == (404, b"404 Not Found\n")
    assert answer.headers["X-Sendfile"] is None


@pytest.mark.parametrize(
    "kind", ["link out", "link to a folder", "folder", "fifo", "socket", "device", "dangling link"]
)
def test_what_is_no_regular_file_inside_gets_404(stage, kind):
    made = stage.run / "served" / kind.replace(" ", "-")
    with socket.socket(socket.AF_UNIX) as unix:
        match kind:
            case "link out":
                made.symlink_to(stage.run / "secret.txt")
            case "link to a folder":
                made.symlink_to(stage.run)
            case "folder":
                made.mkdir()
            case "fifo":
                os.mkfifo(made)
            case "socket":
                unix.bind(str(made))
            case "device":
                made.symlink_to("/dev/zero")  # making one needs root; through a link the app sees the device itself
            case "dangling link":
                made.symlink_to(stage.run / "served" / "nowhere")
        answer = fetch(stage.port, f"/file?name={made.name}")
        assert (answer.status, answer.body) == (404, b"404 Not Found\n")


def test_a_link_that_stays_inside_is_served(stage):
    (stage.run / "served" / "greeting").symlink_to("hello.txt")
    answer = fetch(stage.port, "/file?name=greeting")
    assert (answer.status, answer.body) == (200, HELLO)


def test_a_hard_link_is_the_file_that_it_links_to(stage):
    """A user who may write in the served folder may publish; no check of a path can tell."""
    os.link(stage.run / "secret.txt", stage.run / "served" / "hard")
    answer = fetch(stage.port, "/file?name=hard")
    assert (answer.status, answer.body) == (200, b"not for clients\n")


def test_a_request_header_cannot_name_a_file(stage):
    answer = fetch(stage.port, "/nowhere", headers={"X-Sendfile": "/etc/passwd", "X_SENDFILE": "/etc/passwd"})
    assert (answer.status, answer.body) == (404, b"404 Not Found\n")


def test_head_has_the_headers_of_get_and_no_body(stage):
    got = fetch(stage.port, "/file?name=hello.txt")
    answer = fetch(stage.port, "/file?name=hello.txt", method="HEAD")
    assert (answer.status, answer.body) == (200, b"")
    assert dict(answer.headers) == dict(got.headers)


def test_another_method_gets_405(stage):
    answer = fetch(stage.port, "/file", method="POST")
    assert (answer.status, answer.headers["Allow"]) == (405, "GET, HEAD")
    assert answer.body == b"405 Method Not Allowed\n"


def test_range_is_ignored_and_the_whole_file_is_sent(stage):
    answer = fetch(stage.port, "/file?name=hello.txt", headers={"Range": "bytes=4-8"})
    assert (answer.status, answer.headers["Content-Range"], answer.body) == (200, None, HELLO)


@pytest.mark.parametrize(("since", "expected"), [("its own time", (304, b"")), ("long ago", (200, HELLO))])
def test_if_modified_since_is_honoured_by_uwsgi(stage, since, expected):
    changed = fetch(stage.port, "/file?name=hello.txt").headers["Last-Modified"]
    date = changed if since == "its own time" else "Mon, 01 Jan 2001 00:00:00 GMT"
    answer = fetch(stage.port, "/file?name=hello.txt", headers={"If-Modified-Since": date})
    assert (answer.status, answer.body) == expected
