"""Run tests of a step's tasks, and write their results to a file.

``python -m offload_lab.exercises.pytest_runner RESULT TIMEOUT_S TEST…`` is a process of its own: its ``LAB_STEPS``
names the steps that are tested, and it can be ended together with the processes of its tests.
"""

import json
import os
import re
import sys
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest

from offload_lab.errors import NotReadyError, ProcessDiedError, WrongPingError, ending
from offload_lab.paths import ROOT
from offload_lab.process.process import Process
from offload_lab.uwsgi.logs import error_lines

from .check import PREFIX, UNENDED
from .expectation import UnexpectedResultError

QUIET = ("-q", "--no-header", "--tb=short", "-p", "no:cacheprovider", "-p", "pytest_timeout")
# a test that times out may leave an open socket, which is not what the learner asked about
UNCLOSED = ("-p", "no:unraisableexception")
FOR_DEVELOPERS = " to get more diff"  # pytest's advice on its own options
ADDRESS = re.compile(r" object at 0x[0-9a-f]+")
MOST_LOG_LINES = 2


class Recorder:
    """Collects the outcome of each task; for a failure also what was called, got and expected, or the error's text, and
    for a task that passed what its test recorded as not told on this system."""

    def __init__(self) -> None:
        self.verdicts: dict[str, dict[str, Any]] = {}

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[None]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        report = yield
        name = item.name.removeprefix(PREFIX)
        if call.excinfo and self.verdicts.get(name, {}).get("outcome") not in ("failed", UNENDED):
            outcome = UNENDED if is_timeout(call.excinfo.value) else report.outcome
            error = call.excinfo.value
            self.verdicts[name] = {"outcome": outcome, "lines": lines(error), "log": log_lines(error)}
        elif report.when == "call":
            self.verdicts.setdefault(name, {"outcome": report.outcome, "lines": untold(item), "log": []})
        return report


def untold(item: pytest.Item) -> list[str]:
    return [f"{what}: {why}" for what, why in item.user_properties]


def is_timeout(error: BaseException) -> bool:
    return isinstance(error, pytest.fail.Exception) and "pytest-timeout" in str(error)


def lines(error: BaseException) -> list[str]:
    match error:
        case UnexpectedResultError():
            return [f"called {error.called}", f"got {error.got}", f"expected {error.expected}"]
        case WrongPingError():
            offloaded = ", offloaded" if error.offloaded else ""
            return [f"called GET /ping at {error.name}.ini", f"got {error.answer}{offloaded}", "expected 200"]
        case ProcessDiedError() | NotReadyError():
            what = f"it {ending(error.status)}" if isinstance(error, ProcessDiedError) else "it never answered"
            return [f"called the start of {error.name}.ini", f"got {what}", "expected a server that answers"]
    first, *more = [line.strip() for line in str(error).splitlines() if FOR_DEVELOPERS not in line] or [""]
    return [f"{type(error).__name__}: {ADDRESS.sub('', first)}", *(ADDRESS.sub("", line) for line in more if line)]


def log_lines(error: BaseException) -> list[str]:
    """What uWSGI's log says of a server that did not start."""
    return error_lines(error.log_tail)[-MOST_LOG_LINES:] if isinstance(error, ProcessDiedError | NotReadyError) else []


def main(result: str, timeout_s: str, tests: list[str]) -> None:
    os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"  # loading them takes longer than the tests do
    Process.default_grace_s = 0  # a learner waits, and nothing here has anything to save
    recorder = Recorder()
    where = ("--rootdir", str(ROOT), "-c", str(ROOT / "pyproject.toml"), "--basetemp", f"{result}.tmp")
    pytest.main([*QUIET, *UNCLOSED, *where, f"--timeout={timeout_s}", *tests], plugins=[recorder])
    Path(result).write_text(json.dumps(recorder.verdicts))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3:])
