"""`./lab live` as a process: it ends with all that it started, and names what is wrong with its arguments."""

import re
import signal
import subprocess
import sys
import urllib.request
from contextlib import contextmanager

import psutil
import pytest

from offload_lab.clients import ping
from offload_lab.paths import ROOT
from offload_lab.process.polling import wait_for
from offload_lab.process.server_process import free_port
from offload_lab.stages.stage import Stage
from offload_lab.testing import idle_workers
from offload_lab.timeouts import scaled

from .live_page import WITHIN_S

LAB = [sys.executable, "-m", "offload_lab"]
ADDRESS = re.compile(r"http://\S+")


@contextmanager
def started(tmp_path, *arguments):
    """`./lab live` with these arguments, and the address that it printed."""
    log = tmp_path / "live.log"
    with log.open("w") as out:
        process = subprocess.Popen([*LAB, "live", "--no-browser", *arguments], cwd=ROOT, stdout=out, stderr=out)
    try:
        wait_for(lambda: ADDRESS.search(log.read_text()) or process.poll() is not None, WITHIN_S, "the address")
        yield psutil.Process(process.pid), ADDRESS.search(log.read_text())[0]
    finally:
        process.kill()
        process.wait(scaled(WITHIN_S))


def run(*arguments):
    return subprocess.run(
        [*LAB, "live", *arguments], cwd=ROOT, capture_output=True, text=True, timeout=scaled(WITHIN_S)
    )


@pytest.mark.parametrize(
    "number",
    [
        pytest.param(signal.SIGKILL, id="SIGKILL"),
        pytest.param(signal.SIGINT, id="SIGINT", marks=pytest.mark.full),
        pytest.param(signal.SIGHUP, id="SIGHUP", marks=pytest.mark.full),
    ],
)
def test_everything_ends_with_it(tmp_path, number):
    with started(tmp_path, "01", "offload") as (live, address):
        assert b"<title>" in urllib.request.urlopen(address, timeout=scaled(WITHIN_S)).read()  # noqa: S310 (our own)
        wait_for(lambda: len(live.children(recursive=True)) >= 3, WITHIN_S, "a supervisor, a master and a worker")
        processes = live.children(recursive=True)
        live.send_signal(number)
        wait_for(lambda: not any(process.is_running() for process in processes), WITHIN_S, "the end of every process")


@pytest.mark.full
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["03", "headr"], "did you mean header?"),
        (["33"], "no step '33'"),
        (["07", "unread_body"], "./lab run 07 VARIANT starts one of its variants, and says how to watch that"),
        (["08"], "has no live view; these steps have: 01"),
        ([], "give one of: a STEP"),
        (["03", "--replay", "README.md"], "give one of: a STEP"),
        (["--replay", "README.md"], "README.md is no recording of a live view"),
        (["--attach", "/nowhere.sock"], "no such socket"),
        (["03", "--page", "x.html"], "--page writes what --replay reads"),
        (["--replay", "docs/recordings/live-03.json", "--page", "/nowhere/x.html"], "cannot write /nowhere/x.html: No"),
    ],
)
def test_wrong_words_are_answered_with_what_to_do(arguments, message):
    answer = run(*arguments, "--no-browser")
    assert answer.returncode in (1, 2)
    assert message in " ".join(answer.stderr.split())
    assert "Traceback" not in answer.stderr


@pytest.mark.full
def test_a_busy_port_is_told_and_nothing_is_left(tmp_path):
    with Stage("01_file_wrapper", "offload") as stage:
        answer = run("01", "--no-browser", "--port", str(stage.port))
        assert answer.returncode == 1
        assert f"port {stage.port} on 127.0.0.1 is already in use" in answer.stderr


@pytest.mark.full
def test_any_running_uwsgi_is_watched_and_its_end_is_told(browser, tmp_path):
    with Stage("01_file_wrapper", "offload") as stage:
        with started(tmp_path, "--attach", str(stage.front.stats_socket)) as (_, address):
            page = browser.new_page()
            page.goto(address)
            page.wait_for_selector(".worker.idle")
            assert str(stage.workers()[0].pid) in page.inner_text(".worker")
            assert page.locator("#do-download").count() == 0, "nothing is done to it"
            before = idle_workers(stage)[0].requests
            ping(stage.port, scaled(WITHIN_S))
            wait_for(lambda: stage.workers()[0].requests == before + 1, WITHIN_S, "ours alone is counted")
            stage.front.stop()
            sentence, ends = page.locator(".sentence"), ("no such socket", "nothing listens")
            wait_for(lambda: any(end in sentence.inner_text() for end in ends), WITHIN_S, "why nothing is seen")
            page.close()


@pytest.mark.full
def test_a_recording_becomes_one_page(tmp_path):
    target = tmp_path / "replay.html"
    answer = run("--replay", "docs/recordings/live-03.json", "--page", str(target))
    assert answer.returncode == 0
    assert 'id="recording"' in target.read_text()


@pytest.mark.full
def test_a_port_of_ones_own(tmp_path):
    port = free_port()
    with started(tmp_path, "01", "offload", "--port", str(port)) as (_, address):
        assert address.startswith(f"http://127.0.0.1:{port}/")
