"""A class that runs as `./lab class`, its seats as `./lab join`, and one Chromium."""

import importlib.util
import json
import os
import re
import signal
import subprocess
import sys
from contextlib import ExitStack
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import psutil
import pytest

from offload_lab.paths import ROOT
from offload_lab.process.polling import wait_for
from offload_lab.stages import manifest
from offload_lab.testing import require, require_program
from offload_lab.timeouts import scaled

LAB = [sys.executable, "-m", "offload_lab"]
ARGUMENTS = ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"]
WITHIN_S = 30
PRINTED = re.compile(
    r"teacher's board: (?P<teacher>\S+).*projector: (?P<projector>\S+).*join (?P<url>\S+) (?P<code>\S+).*"
    r"--stats (?P<stats>\S+).*deletes its\s+data",
    re.DOTALL,
)


def load(step, name):
    """A module of the folder of `step`, which is on no path here."""
    spec = importlib.util.spec_from_file_location(f"of_{step}_{name}", manifest.find(step).folder / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


FEED, RELAY = load("06", "feed"), load("06", "relay")


@dataclass
class Class:
    """`./lab class` and what it printed."""

    process: psutil.Process
    teacher: str
    projector: str
    url: str
    code: str
    stats: str

    @property
    def port(self):
        return int(self.url.rstrip("/").rpartition(":")[2])

    @property
    def run(self):
        return Path(self.stats).parent

    def events(self):
        """Everything in the feed: kind and data of each event, in its order."""
        with FEED.connect(f"unix://{self.run}/redis.sock") as redis:
            return [(fields["type"], json.loads(fields["data"])) for _, fields in redis.xrange(FEED.FEED)]


class SeatProcess:
    """`./lab join` with a learner's folders of its own."""

    def __init__(self, folder, url, code, nickname):
        self.work, self.results, self.log = folder / "work", folder / "results", folder / "join.log"
        self.nickname = nickname
        for made in (self.work, self.results):
            made.mkdir(parents=True)
        environ = {**os.environ, "LAB_WORK": str(self.work), "LAB_RESULTS": str(self.results)}
        with self.log.open("w") as log:
            self.process = subprocess.Popen(
                [*LAB, "join", url, code, nickname, "--yes"],
                cwd=ROOT, env=environ, stdin=subprocess.PIPE, stdout=log, stderr=log, text=True,
            )  # fmt: skip

    @property
    def outbox(self):
        path = self.work / ".class.json"
        return json.loads(path.read_text()) if path.exists() else None

    @property
    def waiting(self):
        return len(self.outbox["waiting"])

    def has_joined(self):
        assert self.process.poll() is None, self.log.read_text()
        return self.outbox is not None

    def guess(self, notebook, guess, measured):
        row = {"notebook": notebook, "question": "?", "guess": guess, "measured": measured, "unit": "ms"}
        with (self.results / "guesses.jsonl").open("a") as file:
            file.write(json.dumps(row) + "\n")

    def try_task(self, step, task, tries):
        """As ./lab check saves it: replaced in one step."""
        new = self.work / ".progress.new"
        new.write_text(json.dumps({step: {task: {"tries": tries, "hints": 1, "passed": "", "given": ""}}}))
        new.replace(self.work / ".progress.json")

    def type(self, line):
        self.process.stdin.write(f"{line}\n")
        self.process.stdin.flush()


def until(page, expression):
    """Wait until a JavaScript expression holds: Playwright's own waiting needs `eval`, which the pages forbid."""
    wait_for(lambda: page.evaluate(expression), WITHIN_S, expression)


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
    require(find_spec("playwright") is not None, "Playwright", "./lab install test")
    chromium = require_program("chromium")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=ARGUMENTS)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def open_page(browser):
    """``open_page(url)`` is a page with a browser context of its own."""

    def open_page(url, **context):
        page = browser.new_context(viewport={"width": 1280, "height": 720}, **context).new_page()
        page.set_default_timeout(scaled(WITHIN_S) * 1000)
        page.bodies = []
        page.on("response", lambda answer: page.bodies.append(answer))
        page.goto(url)
        return page

    return open_page
