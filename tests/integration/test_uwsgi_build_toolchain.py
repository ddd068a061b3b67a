"""The toolchain of the build: no program is waited for without a deadline, and its result is checked."""

import importlib.util
import sys

import psutil
import pytest

from offload_lab.paths import ROOT
from offload_lab.process.polling import wait_for

SPEC = importlib.util.spec_from_file_location("toolchain_under_test", ROOT / "uwsgi_build" / "toolchain.py")
toolchain = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(toolchain)


def test_a_program_that_does_not_end_is_ended_with_all_it_started(tmp_path, monkeypatch):
    monkeypatch.setattr(toolchain, "RUN_S", 3.0)
    code = "import os, signal; print(os.getpid(), 'still linking', flush=True); signal.pause()"
    with pytest.raises(toolchain.EngineError, match=r"did not end within 3 s; its last words: \d+ still linking"):
        toolchain.run([sys.executable, "-c", code], tmp_path, tmp_path / "log")
    pid = int((tmp_path / "log").read_text().split()[0])
    wait_for(lambda: not psutil.pid_exists(pid), 20, "its end")


@pytest.mark.parametrize("count", [0, 2])
def test_a_download_that_is_not_one_thing_is_named(tmp_path, count):
    for number in range(count):
        (tmp_path / f"{number}.tar.gz").touch()
    with pytest.raises(toolchain.EngineError, match=f"uwsgi==2 gave {count} files or folders instead of one"):
        toolchain.single_entry(tmp_path, "uwsgi==2 --hash=sha256:0")


def test_the_compiler_is_that_of_the_moment(monkeypatch):
    monkeypatch.setenv("CC", "ccache clang")
    assert toolchain.compiler() == ["ccache", "clang"]
