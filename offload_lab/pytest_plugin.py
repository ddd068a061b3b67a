"""For all tests: one factor for their timeouts, two tiers, and a skip where an optional dependency is missing.

Tests in ``steps/`` belong to the full tier unless they are marked `core`; tests in ``tests/`` belong to the quick one
unless they are marked `full`. ``./lab test`` chooses the tier; pytest alone runs everything.
"""

import os
import signal
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest

from offload_lab.errors import MissingDependencyError
from offload_lab.stages import manifest
from offload_lab.stages.stage import Stage
from offload_lab.testing import require
from offload_lab.timeouts import VARIABLE, follow_load, scaled

QUICK = "not full"  # the quick tier, as an expression for pytest's -m


def in_a_step(path: Path) -> bool:
    return manifest.steps_folder() in path.parents


def never_started(started: set[tuple[str, str]], skipped: set[str]) -> list[str]:
    """The variants of all steps that are not in `started`, without those of steps of which a test was skipped."""
    return [
        f"{step.name} {variant.name}"
        for step in manifest.steps()
        for variant in step.variants
        if (step.name, variant.name) not in started and step.name not in skipped
    ]


class StartedVariants:
    """Records which variants of ``steps/`` were started in this process, and in those of pytest-xdist."""

    def __init__(self, config: pytest.Config) -> None:
        self.variants: set[tuple[str, str]] = set()
        self.skipped: set[str] = set()
        self.missing: list[str] = []
        self.is_worker = hasattr(config, "workerinput")
        patch = pytest.MonkeyPatch()
        enter = Stage.__enter__

        def recorded(stage: Stage) -> Stage:
            entered = enter(stage)
            if stage.step.folder.parent == manifest.steps_folder():
                self.variants.add((stage.step.name, stage.variant.name))
            return entered

        patch.setattr(Stage, "__enter__", recorded)
        config.add_cleanup(patch.undo)

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any) -> None:
        self.variants.update(map(tuple, getattr(node, "workeroutput", {}).get("variants", ())))

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.skipped:
            self.skipped.update(step.name for step in manifest.steps() if f"/{step.name}/" in report.nodeid)

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        if self.is_worker:
            session.config.workeroutput["variants"] = sorted(self.variants)  # type: ignore[attr-defined]
        elif session.exitstatus == pytest.ExitCode.OK and not session.config.option.collectonly:
            self.missing = never_started(self.variants, self.skipped)
            if self.missing:
                session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        if self.missing:
            terminalreporter.section("variants that no quick test started: mark a test of each `core`", red=True)
            terminalreporter.line("\n".join(self.missing))


def use_no_stopwatch() -> None:
    """Hypothesis by itself fails an example that takes longer than 200 ms, and tries others at each run."""
    from hypothesis import HealthCheck, settings

    slow = [HealthCheck.too_slow]
    settings.register_profile("lab", deadline=None, derandomize=True, database=None, suppress_health_check=slow)
    settings.load_profile("lab")


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    follow_load()
    # A shell's background ignores SIGINT, nohup SIGHUP, and every process of a test would inherit that
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    if config.pluginmanager.hasplugin("timeout") and config.option.timeout is None:
        config.option.timeout = scaled(float(config.getini("timeout")))
    if config.pluginmanager.hasplugin("hypothesispytest"):
        use_no_stopwatch()
    whole = config.args_source == pytest.Config.ArgsSource.TESTPATHS
    if config.option.markexpr == QUICK and (whole or hasattr(config, "workerinput")):
        config.pluginmanager.register(StartedVariants(config))


def pytest_report_header() -> str:
    return f"timeouts: now {scaled(1)} times as long as written ({VARIABLE}={os.environ[VARIABLE]})"


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if in_a_step(item.path) and item.get_closest_marker("core") is None:
            item.add_marker("full")


def skipped_where_missing() -> Generator[None, object, object]:
    try:
        return (yield)
    except MissingDependencyError as missing:
        require(False, missing.what, missing.install)
        raise


@pytest.hookimpl(wrapper=True)
def pytest_runtest_setup() -> Generator[None, object, object]:
    return (yield from skipped_where_missing())


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call() -> Generator[None, object, object]:
    return (yield from skipped_where_missing())
