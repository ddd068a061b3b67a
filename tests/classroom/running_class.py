"""A class that runs as `./lab class`, and seats as `./lab join`, each with a learner's folders of its own."""

import importlib.util
import json
import os
import re
import socket
import subprocess
import sys
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Event, Thread

import psutil

from offload_lab.paths import ROOT
from offload_lab.process.polling import wait_for
from offload_lab.stages import manifest

LAB = [sys.executable, "-m", "offload_lab"]
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


@contextmanager
def slow_senders(port, beginning, count=20):
    """Connections that send a byte a second, so that none is closed for its silence."""
    ended = Event()

    def send():
        while not ended.wait(1):
            for sender in senders:
                sender.send(b"{")

    with ExitStack() as exits:
        senders = [exits.enter_context(socket.create_connection(("127.0.0.1", port))) for _ in range(count)]
        for sender in senders:
            sender.sendall(beginning)
        thread = Thread(target=send)
        thread.start()
        exits.callback(thread.join)
        exits.callback(ended.set)
        yield
