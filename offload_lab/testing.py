"""For tests: wait for an event instead of sleeping, and skip with the install command."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from itertools import islice
from pathlib import Path
from typing import Any

from offload_lab.system import is_linux
from offload_lab.uwsgi.stats import WorkerStats

from . import programs
from .process.polling import wait_for
from .stages.stage import Stage, short_private_folder
from .timeouts import scaled
from .uwsgi.server import Uwsgi

IDLE_S = 30.0
KERNEL_S = 60.0
# as root Chromium needs --no-sandbox; with the others it asks nobody but the page's own server
CHROMIUM_ARGUMENTS = ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"]
CHROMIUM_ARGUMENTS += ["--disable-background-networking", "--disable-component-update", "--disable-sync"]


def require(available: bool, what: str, install: str) -> None:
    """Skip the test where `what` is missing and say how to get it; fail instead under ``LAB_REQUIRE=all``."""
    if available:
        return
    import pytest  # not installed where stages only run

    message = f"{what} is missing; install it with: {install}"
    if os.environ.get("LAB_REQUIRE") == "all":
        pytest.fail(message)
    pytest.skip(message)


def require_linux(what: str) -> None:
    """Skip the test where the system is not Linux, or pretends not to be. `what`: the feature that only Linux has."""
    import pytest

    if not is_linux():
        pytest.skip(f"{what}: only Linux has it")


def require_program(name: str) -> str:
    """The path of the program called `name` in `offload_lab.programs`; as `require` where it is missing."""
    found = programs.find(name)
    require(found is not None, programs.PROGRAMS[name].title, programs.install(name))
    return str(found)


def require_chromium() -> str:
    """The path of Chromium, where Playwright is there to drive it; as `require` where one is missing."""
    require(find_spec("playwright") is not None, "Playwright", "./lab install test")
    return require_program("chromium")


@contextmanager
def chromium() -> Iterator[Any]:
    """A Playwright ``Browser`` without windows; as `require_chromium` where it cannot run."""
    path = require_chromium()
    from playwright.sync_api import sync_playwright

    with (
        sync_playwright() as playwright,
        playwright.chromium.launch(executable_path=path, args=CHROMIUM_ARGUMENTS, timeout=scaled(60) * 1000) as browser,
    ):
        yield browser


@contextmanager
def kernel_connection() -> Iterator[dict[str, str]]:
    """Options of a Jupyter kernel manager: UNIX sockets in a new folder. A TCP port that is free when a manager chooses
    it may be taken when its kernel binds it."""
    folder = short_private_folder()
    try:
        yield {"transport": "ipc", "connection_file": f"{folder}/kernel.json"}
    finally:
        shutil.rmtree(folder)


@contextmanager
def jupyter_kernel(folder: Path) -> Iterator[tuple[Any, Any]]:
    """A kernel that runs in `folder`: its manager and its client, of jupyter_client."""
    from jupyter_client.manager import KernelManager

    with kernel_connection() as options:
        manager = KernelManager(**options)
        manager.start_kernel(cwd=str(folder))
        client = manager.client()
        client.start_channels()
        try:
            client.wait_for_ready(timeout=scaled(KERNEL_S))
            yield manager, client
        finally:
            client.stop_channels()
            manager.shutdown_kernel(now=True)
            manager.cleanup_resources()


def idle_workers(server: Stage | Uwsgi) -> list[WorkerStats]:
    """The workers of `server` once none is busy: uWSGI counts a request after the client has its answer."""
    found: list[WorkerStats] = []

    def idle() -> bool:
        found[:] = server.workers()
        return not any(worker.busy for worker in found)

    wait_for(idle, IDLE_S, "idle workers")
    return found


def events_by(client: str, url: str, count: int, cookie: str = "") -> list[tuple[str, str, str | None]]:
    """The first `count` events at `url` as ``httpx-sse`` or ``sseclient-py`` reads them: type, data, id."""
    import httpx
    from httpx_sse import connect_sse
    from sseclient import SSEClient

    with httpx.Client(headers={"Cookie": cookie}, timeout=30) as http:
        if client == "httpx-sse":
            with connect_sse(http, "GET", url) as source:
                return [(event.event, event.data, event.id) for event in islice(source.iter_sse(), count)]
        with http.stream("GET", url) as answer:
            events = SSEClient(answer.iter_bytes()).events()
            return [(event.event, event.data, event.id) for event in islice(events, count)]
