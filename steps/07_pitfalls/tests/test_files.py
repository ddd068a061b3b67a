"""file_wrapper, open_stats: responses that are no whole file, and a stats socket that is open to others."""

import gzip
import socket
from contextlib import contextmanager

import psutil
import pytest

from offload_lab.clients import SlowReader, fetch, ping
from offload_lab.process.polling import wait_for
from offload_lab.stages.stage import Stage
from offload_lab.testing import idle_workers
from offload_lab.uwsgi import binary

from .conftest import STEP, TIMEOUT_S

REPORT = b"departs on time\n"


def whole_file(stage):
    return (stage.run / "big.bin").read_bytes()


def packed(stage):
    return (stage.run / "packed.gz").read_bytes()


@pytest.mark.core
@pytest.mark.parametrize(
    ("path", "sent"),
    [("/seek", whole_file), ("/pipe", lambda stage: b""), ("/packed", packed)],
)
def test_file_wrapper_broken_sends_something_else(stage_of, path, sent):
    stage = stage_of("file_wrapper_broken")
    answer = fetch(stage.port, path)
    assert (answer.status, answer.headers["Content-Encoding"]) == (200, None)
    assert answer.body == sent(stage)


def test_file_wrapper_broken_spins_on_text_until_its_worker_is_killed():
    with (
        Stage(STEP, "file_wrapper_broken", engine=binary.find("wheel")) as stage,
        socket.create_connection(("127.0.0.1", stage.port), timeout=TIMEOUT_S) as client,
    ):
        client.sendall(b"GET /text HTTP/1.0\r\n\r\n")
        [worker] = stage.workers()
        process = psutil.Process(worker.pid)
        before = process.cpu_times().user
        wait_for(lambda: process.cpu_times().user > before + 1, TIMEOUT_S, "a second of CPU for 16 letters")
        client.setblocking(False)
        with pytest.raises(BlockingIOError):
            client.recv(1)
        process.kill()
        client.settimeout(TIMEOUT_S)
        assert client.recv(1) == b""
        wait_for(lambda: [now.pid for now in stage.workers()] != [worker.pid], TIMEOUT_S, "another worker")
        assert ping(stage.port, TIMEOUT_S).status == 200


@contextmanager
def mid_download(stage):
    """A slow client downloads the file. Yields how many requests were offloaded since, as a function."""
    [before] = idle_workers(stage)
    with SlowReader(stage.port, "/file", rate_mib_s=1) as reader:
        wait_for(lambda: reader.received > 0, TIMEOUT_S, "the first bytes")
        yield lambda: stage.workers()[0].offloaded - before.offloaded
        assert not reader.done.is_set()


def test_file_wrapper_broken_sends_a_wrapped_response_in_the_worker(stage_of):
    stage = stage_of("file_wrapper_broken")
    with mid_download(stage) as offloaded:
        assert (stage.workers()[0].busy, offloaded()) == (True, 0)


def test_file_wrapper_fixed_offloads_the_file_through_a_middleware(stage_of):
    stage = stage_of("file_wrapper_fixed")
    with mid_download(stage) as offloaded:  # the response headers are out before the worker is through with the request
        idle_workers(stage)
        assert offloaded() == 1


@pytest.mark.core
@pytest.mark.parametrize("path", ["/text", "/pipe"])
def test_file_wrapper_fixed_sends_the_intended_bytes(stage_of, path):
    assert fetch(stage_of("file_wrapper_fixed").port, path).body == REPORT


def test_file_wrapper_fixed_sends_a_part_of_a_file(stage_of):
    stage = stage_of("file_wrapper_fixed")
    assert fetch(stage.port, "/seek").body == whole_file(stage)[-8:]


def test_file_wrapper_fixed_sends_a_gzip_file_with_its_encoding(stage_of):
    answer = fetch(stage_of("file_wrapper_fixed").port, "/packed")
    assert answer.headers["Content-Encoding"] == "gzip"
    assert gzip.decompress(answer.body) == REPORT


def open_to_others(stage):
    return sorted(path.name for path in stage.run.glob("*.sock") if path.stat().st_mode & 0o002)


def variables(stage) -> list[str]:
    """What the stats tell of the request in the worker: the last one until uWSGI has closed it."""
    [core] = stage.front.stats()["workers"][0]["cores"]
    return core["vars"]


@pytest.mark.core
def test_open_stats_broken_shows_a_running_requests_cookie_to_all_users(stage_of):
    stage = stage_of("open_stats_broken")
    assert open_to_others(stage) == ["open_stats_broken-stats.sock", "proxy.sock"]
    with socket.create_connection(("127.0.0.1", stage.port), timeout=TIMEOUT_S) as client:
        client.sendall(b"POST / HTTP/1.0\r\nCookie: sessionid=secret\r\nContent-Length: 1\r\n\r\n")
        wait_for(lambda: "HTTP_COOKIE=sessionid=secret" in variables(stage), TIMEOUT_S, "the cookie of this request")
        client.sendall(b".")
        assert client.recv(12) == b"HTTP/1.0 200"


@pytest.mark.core
def test_open_stats_fixed_opens_the_proxys_socket_and_no_other(stage_of):
    assert open_to_others(stage_of("open_stats_fixed")) == ["proxy.sock"]
