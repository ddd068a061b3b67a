"""What ./lab test runs, that the quick tier leaves out no variant, and that one factor scales every timeout."""

import os
import re
import subprocess
import sys

import pytest

from offload_lab.cli.tools import QUICK, SIDE_BY_SIDE, pytest_args_of
from offload_lab.paths import ROOT
from offload_lab.process.deadlines import Deadline
from offload_lab.process.polling import wait_for
from offload_lab.timeouts import FOLLOWS_LOAD, VARIABLE, factor_for_load, scaled

MANIFEST = """
title = "A file"
minutes = 5
path = "/file"
scenario = "download"

[variants.offload]
inis = ["offload.ini"]
says = "an offload thread sends it"
reference = true
"""

SETTINGS = """
[pytest]
addopts = -p offload_lab.pytest_plugin
testpaths = tests
timeout = 60
"""


def test_without_words_the_quick_tier_runs_side_by_side():
    assert pytest_args_of(full=False, named=(), side_by_side=True) == (*SIDE_BY_SIDE, *QUICK)


def test_full_leaves_nothing_out_and_passes_words_on():
    assert pytest_args_of(full=True, named=("-x",), side_by_side=True) == (*SIDE_BY_SIDE, "-x")


def test_what_is_named_runs_whole_in_one_process():
    assert pytest_args_of(full=False, named=("steps/01_file_wrapper",), side_by_side=True) == ("steps/01_file_wrapper",)


def test_without_xdist_the_tests_run_in_one_process():
    assert pytest_args_of(full=True, named=(), side_by_side=False) == ()


@pytest.mark.full
def test_coverage_counts_the_processes_that_tests_start(tmp_path):
    environ = {**os.environ, "COVERAGE_FILE": str(tmp_path / "coverage")}
    chosen = ("tests/integration/test_cli.py", "-k", "test_list_")
    command = [sys.executable, "-m", "offload_lab", "test", "--cov", *chosen]
    answer = subprocess.run(command, cwd=ROOT, env=environ, capture_output=True, text=True, timeout=scaled(60))
    assert answer.returncode == 0, answer.stdout
    assert "offload_lab/cli/listing.py" not in answer.stdout, "all of its lines run in ./lab list"
    assert re.search(r"^offload_lab/cli/run\.py .* \d\d% ", answer.stdout, re.MULTILINE)


def collected(*arguments):
    command = [sys.executable, "-m", "pytest", "--collect-only", "-q", "-p", "no:cacheprovider", *arguments]
    answer = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=scaled(60))
    return {line for line in answer.stdout.splitlines() if "::" in line}


@pytest.mark.full
def test_a_step_is_complete_by_pytest_and_its_core_is_quick():
    everything, quick = collected("steps/01_file_wrapper"), collected("-m", "not full", "steps/01_file_wrapper")
    assert quick < everything
    assert any("test_tasks.py" in test for test in everything - quick)


@pytest.fixture
def project(tmp_path):
    """A repository with one variant and one quick test, which does not start it; returns a run of its tests."""
    step = tmp_path / "steps" / "01_file"
    step.mkdir(parents=True)
    (step / "step.toml").write_text(MANIFEST)
    (step / "offload.ini").touch()
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests" / "test_unit.py").write_text("def test_nothing():\n    pass\n")
    (tmp_path / "pytest.ini").write_text(
        "[pytest]\naddopts = -p offload_lab.pytest_plugin\ntestpaths = tests\ntimeout = 60\n"
    )

    def run(*arguments):
        command = [sys.executable, "-m", "pytest", *arguments]
        environ = {**os.environ, "LAB_STEPS": str(tmp_path / "steps")}
        options = {"capture_output": True, "text": True, "timeout": scaled(60)}
        return subprocess.run(command, cwd=tmp_path, env=environ, **options)

    return run


@pytest.mark.full
@pytest.mark.parametrize("processes", [(), ("--numprocesses=2",)], ids=["in one process", "side by side"])
def test_a_quick_run_names_the_variants_that_it_did_not_start(project, processes):
    answer = project("-m", "not full", *processes)
    assert answer.returncode == 1
    assert "01_file offload" in answer.stdout
    assert "1 passed" in answer.stdout


@pytest.mark.full
@pytest.mark.parametrize("words", [(), ("-m", "not full", "tests")], ids=["everything", "what is named"])
def test_another_run_need_not_start_every_variant(project, words):
    assert project(*words).returncode == 0


def test_the_factor_is_read_when_a_wait_begins(monkeypatch):
    monkeypatch.setenv(VARIABLE, "3")
    assert scaled(2) == 6
    assert Deadline(2).seconds == 6
    monkeypatch.setenv(VARIABLE, "0.001")
    with pytest.raises(TimeoutError, match=r"a sign: not seen within 0\.01 s"):
        wait_for(lambda: False, 10, "a sign")


def test_without_a_factor_timeouts_are_as_written(monkeypatch):
    monkeypatch.delenv(VARIABLE)
    assert scaled(2) == 2


def test_the_factor_follows_the_load_of_the_moment(monkeypatch):
    monkeypatch.setenv(VARIABLE, FOLLOWS_LOAD)
    monkeypatch.setattr("os.cpu_count", lambda: 2)
    monkeypatch.setattr("os.getloadavg", lambda: (0, 0, 0))
    assert scaled(2) == 2
    monkeypatch.setattr("os.getloadavg", lambda: (8, 0, 0))
    assert scaled(2) == 10


@pytest.mark.parametrize(("load", "factor"), [(0, 1), (2, 2), (12, 7)])
def test_a_busy_machine_gets_more_time(load, factor):
    assert factor_for_load(load, processors=2) == factor


def test_the_timeout_of_a_whole_test_is_scaled(monkeypatch):
    monkeypatch.setenv(VARIABLE, "2")
    command = [sys.executable, "-m", "pytest", "--collect-only", "-p", "no:cacheprovider", __file__]
    answer = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=scaled(60))
    assert "timeouts: now 2.0 times as long as written (LAB_TIMEOUT_FACTOR=2)" in answer.stdout
    assert "timeout: 600.0s" in answer.stdout
