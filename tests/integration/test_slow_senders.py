"""A client that sends its request slowly keeps a front's only worker, unless something reads the request first."""

import re
import socket
from contextlib import contextmanager
from dataclasses import replace

import pytest

from offload_lab.clients import fetch, ping
from offload_lab.errors import MissingDependencyError
from offload_lab.process.polling import wait_for
from offload_lab.stages import manifest, nginx
from offload_lab.stages.overrides import altered
from offload_lab.stages.stage import Stage
from offload_lab.testing import idle_workers, require

pytestmark = pytest.mark.full

TIMEOUT_S = 30
READS_ALL = """
from offload_lab.stages.site import with_ping

@with_ping
def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"%d bytes\\n" % len(environ["wsgi.input"].read())]
"""
HEAD = b"GET /ping HTTP/1.0\r\nX-Slow: ", b".\r\n\r\n"
BODY = b"POST / HTTP/1.0\r\nContent-Length: 2\r\n\r\n.", b"."


@pytest.fixture
def step(tmp_path):
    """Step 01's front with an app that reads what it is sent."""
    (tmp_path / "reads.py").write_text(READS_ALL)
    return altered("01", "offload", f"wsgi-file = {tmp_path / 'reads.py'}", without=["wsgi-file"])


@contextmanager
def slow_sender(port, beginning):
    with socket.create_connection(("127.0.0.1", port), timeout=TIMEOUT_S) as sender:
        sender.sendall(beginning)
        yield sender


@contextmanager
def bystander(port):
    with socket.create_connection(("127.0.0.1", port), timeout=TIMEOUT_S) as connection:
        connection.sendall(b"GET /ping HTTP/1.0\r\n\r\n")
        yield connection


@pytest.mark.parametrize("options", [[], ["--harakiri", "60"], ["--post-buffering", "4096"]], ids=" ".join)
@pytest.mark.parametrize(("beginning", "end"), [HEAD, BODY], ids=["head", "body"])
def test_a_slow_sender_keeps_the_worker_until_the_last_byte(step, options, beginning, end):
    patient = [*options, "--socket-timeout", "600"]  # it does not end a sender that is slower than this test's
    with Stage(step, "offload", options=patient) as stage, slow_sender(stage.port, beginning) as sender:
        wait_for(lambda: stage.front.stats()["listen_queue"] == 0, TIMEOUT_S, "the worker reading the slow request")
        with bystander(stage.port) as other:
            wait_for(lambda: stage.front.stats()["listen_queue"] == 1, TIMEOUT_S, "the bystander in the listen queue")
            other.setblocking(False)
            with pytest.raises(BlockingIOError):
                other.recv(1)
            sender.sendall(end)
            other.settimeout(TIMEOUT_S)
            assert other.recv(12) == b"HTTP/1.0 200"
            assert sender.recv(12) == b"HTTP/1.0 200"


def test_harakiri_ends_a_slow_body_with_its_worker(step):
    """... and with all that the worker's offload threads carry."""
    with Stage(step, "offload", options=["--harakiri", "1"]) as stage:
        [worker] = stage.workers()
        with slow_sender(stage.port, BODY[0]) as sender:
            assert sender.recv(1) == b"", "the connection ends without a status"
        wait_for(lambda: [process.pid for process in stage.workers()] != [worker.pid], TIMEOUT_S, "another worker")
        assert ping(stage.port, TIMEOUT_S).pid != worker.pid


@pytest.mark.parametrize(("beginning", "end"), [HEAD, BODY], ids=["head", "body"])
def test_an_nginx_in_front_keeps_a_slow_sender_away_from_the_worker(step, tmp_path, beginning, end):
    try:
        nginx.find()
    except MissingDependencyError as missing:
        require(False, missing.what, missing.install)
    conf = (manifest.find("02").folder / "x_accel.conf").read_text()
    (tmp_path / "nginx.conf").write_text(conf)
    variant = replace(step.variant("offload"), proxy=str(tmp_path / "nginx.conf"))
    with Stage(replace(step, variants=(variant,)), "offload") as stage:
        before = idle_workers(stage)[0].requests
        with slow_sender(stage.proxy.port, beginning) as sender:
            answers = [fetch(stage.proxy.port, "/ping").status for _ in range(5)]
            [worker] = idle_workers(stage)
            assert (answers, worker.requests - before) == ([200] * 5, 5)
            sender.sendall(end)
            assert re.match(rb"HTTP/1\.\d 200", sender.recv(12))
