"""A stage with ada logged in, its Redis client, and the means to kill, stop and restart its processes."""

import importlib.util
import os
import re
import signal
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest

from offload_lab.clients.session import Session
from offload_lab.clients.sse import SseClient
from offload_lab.process.deadlines import Deadline
from offload_lab.process.polling import wait_for
from offload_lab.stages import manifest
from offload_lab.stages.stage import Stage

STEP = manifest.find("06_shared_state")
TIMEOUT_S = 30


def load(name):
    """A module of this step, whose folder is on no path here."""
    spec = importlib.util.spec_from_file_location(f"shared_state_{name}", Path(__file__).parents[1] / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look there
    spec.loader.exec_module(module)
    return module


FEED, RELAY = load("feed"), load("relay")


def at_once(act, things):
    """`act` on all of them side by side: a store takes a second to end, and most of it is waiting."""
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(act, things))


class SharedStateStage(Stage):
    """A stage of this step, `without` some of its INIs if need be. `redis` is its store's client where it has one."""

    def __init__(self, variant, without=(), **placeholders):
        chosen = STEP.variant(variant)
        chosen = replace(chosen, inis=tuple(ini for ini in chosen.inis if ini not in without))
        values = {name: str(value) for name, value in placeholders.items()}
        super().__init__(replace(STEP, variants=(chosen,)), variant, placeholders=values)

    def prepare(self):
        self.ada = Session(self.port)
        self.ada.log_in()
        self.redis = FEED.connect(f"unix://{self.run}/redis.sock")

    def __exit__(self, *why):
        self.redis.close()
        at_once(lambda process: process.stop(), self.processes)
        super().__exit__(*why)

    def subscribe(self, **options):
        return SseClient(self.port, **{"cookie": self.ada.cookie, **options})

    def worker(self, name):
        """The process id of the worker of the INI called `name`."""
        [worker] = self.process(name).workers()
        return worker.pid

    def other_worker(self, name, before):
        """Wait for a worker that is not `before`."""
        found = []

        def there():
            found[:] = [worker.pid for worker in self.process(name).workers() if worker.pid != before]
            return bool(found)

        wait_for(there, TIMEOUT_S, f"a new worker of {name}")
        return found[0]

    def kill_worker(self, name, number=signal.SIGKILL):
        os.kill(pid := self.worker(name), number)
        return pid

    def reload(self, name):
        """The graceful reload that works on every uWSGI: new workers, the same master."""
        before = self.worker(name)
        with (self.run / f"{name}.fifo").open("w") as fifo:
            fifo.write("w")
        return self.other_worker(name, before)

    def stop(self, *names):
        at_once(lambda name: self.process(name).stop(), names)

    def restart(self, *names):
        self.stop(*names)
        for name in names:
            self.process(name).start()
            self.process(name).wait_ready(Deadline(TIMEOUT_S))

    def redis_pid(self):
        log = self.process("store").log.read_text(errors="replace")
        return int(re.findall(r"^(\d+):M .*Server initialized", log, re.MULTILINE)[-1])

    def busy(self, name):
        """How many requests, streams included, the worker of `name` is serving."""
        [worker] = self.process(name).stats()["workers"]
        return sum(core["in_request"] for core in worker["cores"])


@pytest.fixture(scope="session")
def feed():
    return FEED


@pytest.fixture(scope="session")
def make_stage():
    """``make_stage(variant, **placeholders)`` is a stage that is not started yet."""
    return SharedStateStage


@pytest.fixture(scope="session")
def relay():
    """``relay(port)`` is a network before `port` that can be cut."""
    return RELAY.Relay


@pytest.fixture(scope="session")
def started():
    """``started(variant, **placeholders)`` is a stage for all tests, started when it is asked for first."""
    stages = []

    @cache
    def start(variant, **placeholders):
        stages.append(SharedStateStage(variant, **placeholders).__enter__())
        return stages[-1]

    yield start
    at_once(lambda stage: stage.__exit__(None, None, None), stages)


@pytest.fixture(scope="session")
def quiet(started):
    """A feed without trains: only what a test publishes."""
    return started("stream", tick_s=3600, retry_ms=200, heartbeat_s=0.2, queue_limit=20, history=200)


@pytest.fixture
def say(quiet):
    """``say(3)`` publishes three notices to `quiet` and returns their ids."""

    def say(count=1, text="mind the gap"):
        return [FEED.publish(quiet.redis, "notice", history=200, text=text) for _ in range(count)]

    return say
