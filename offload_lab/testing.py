"""For tests: wait for an event instead of sleeping, and skip honestly."""

import os
import time
from collections.abc import Callable
from itertools import islice

from offload_lab.system import is_linux
from offload_lab.timeouts import scaled

from . import programs


def require(available: bool, what: str, install: str) -> None:
    """Skip the test where `what` is missing and say how to get it; fail instead under ``LAB_REQUIRE=all``."""
    if available:
        return
    import pytest  # not there for who only runs stages

    message = f"{what} is missing; install it with: {install}"
    if os.environ.get("LAB_REQUIRE") == "all":
        pytest.fail(message)
    pytest.skip(message)


def require_linux(what: str) -> None:
    """Skip the test where the system is not Linux, or is told that it is not: `what` is what only Linux has."""
    import pytest

    if not is_linux():
        pytest.skip(f"{what}: only Linux has it")


def require_program(name: str) -> str:
    """The path of the program called `name` in `offload_lab.programs`; as `require` where it is missing."""
    found = programs.find(name)
    require(found is not None, programs.PROGRAMS[name].title, programs.install(name))
    return str(found)


def wait_for(condition: Callable[[], bool], timeout_s: float, what: str) -> None:
    """Poll until `condition` holds. Raises TimeoutError naming `what` after `timeout_s`, scaled."""
    deadline = time.monotonic() + scaled(timeout_s)
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what}: not seen within {scaled(timeout_s):g} s")
        time.sleep(0.02)


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


class Unexpected(AssertionError):
    """What a learner is told of a task that is not solved."""

    def __init__(self, called: str, got: object, expected: object) -> None:
        super().__init__(f"called {called}, got {got}, expected {expected}")
        self.called, self.got, self.expected = called, str(got), str(expected)


def expect(called: str, got: object, expected: object) -> None:
    """Raises Unexpected, an AssertionError, unless `got` equals `expected`. All three are shown to a learner."""
    if got != expected:
        raise Unexpected(called, got, expected)
