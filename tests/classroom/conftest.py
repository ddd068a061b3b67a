"""One class for a module's tests, its seats, and one Chromium."""

import signal
import subprocess
from contextlib import ExitStack

import psutil
import pytest

from offload_lab.paths import ROOT
from offload_lab.process.polling import wait_for
from offload_lab.testing import chromium, require_program
from offload_lab.timeouts import scaled

from .running_class import LAB, PRINTED, RELAY, WITHIN_S, Class, SeatProcess


@pytest.fixture(scope="module")
def relay():
    return RELAY.Relay


@pytest.fixture(scope="module")
def new_seat(tmp_path_factory):
    """``new_seat(url, code, nickname)`` starts a seat, which is killed at the end."""
    with ExitStack() as exits:

        def start(url, code, nickname):
            seat = SeatProcess(tmp_path_factory.mktemp("seat"), url, code, nickname)
            exits.callback(end, seat.process)
            return seat

        yield start


def end(process):
    process.kill()
    process.wait(scaled(WITHIN_S))
    process.stdin.close()


@pytest.fixture(scope="module")
def new_class(tmp_path_factory):
    """``new_class(*words)`` starts a class, which is killed at the end."""
    require_program("redis-server")
    with ExitStack() as exits:

        def start(*words):
            log = tmp_path_factory.mktemp("class") / "class.log"
            with log.open("w") as out:
                process = subprocess.Popen(
                    [*LAB, "class", "--no-browser", "--port", "auto", *words], cwd=ROOT, stdout=out, stderr=out
                )
            exits.callback(process.wait, scaled(WITHIN_S))
            exits.callback(process.send_signal, signal.SIGKILL)
            wait_for(
                lambda: PRINTED.search(log.read_text()) or process.poll() is not None, WITHIN_S, "the class's addresses"
            )
            assert process.poll() is None, log.read_text()
            return Class(psutil.Process(process.pid), **PRINTED.search(log.read_text()).groupdict())

        yield start


@pytest.fixture(scope="module")
def browser():
    with chromium() as browser:
        yield browser


@pytest.fixture(scope="module")
def open_page(browser):
    """``open_page(url)`` is a page with a browser context of its own."""

    def open_page(url, **context):
        page = browser.new_context(viewport={"width": 1280, "height": 720}, **context).new_page()
        page.set_default_timeout(scaled(WITHIN_S) * 1000)
        page.answered = []  # requests with a whole answer
        page.on("requestfinished", lambda request: page.answered.append(request))
        page.goto(url)
        return page

    return open_page
