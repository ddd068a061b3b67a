"""Linux told that it is another system: what needs no /proc and no prctl(2) passes all the same.

`LAB_PRETEND_SYSTEM=other ./lab test --full` runs everything so.
"""

import os
import subprocess
import sys
from functools import partial

import pytest

from offload_lab.clients.event_stream_pool import EventStreamPool
from offload_lab.clients.session import Session
from offload_lab.live.reader import KernelLists
from offload_lab.live.stage_side import master_of
from offload_lab.live.watcher import BackendPlace, Watcher
from offload_lab.paths import ROOT
from offload_lab.stages.stage import Stage
from offload_lab.system import is_linux
from offload_lab.timeouts import scaled

NOTHING_LEFT = "tests/integration/test_supervisor.py"
TASKS = "steps/03_sse_offload/tests/test_tasks.py"
PROOFS = "tests/integration/test_exercises_proofs.py"
A_BLANK = f"{PROOFS}::test_a_blank_fails_at_its_own_task[03_sse_offload-offload_threads]"
A_MISTAKE = f"{PROOFS}::test_a_mistake_fails_and_is_recognised_as_itself_alone[01_file_wrapper-file_wrapper-"
TOLD, UNTOLD = f"{A_MISTAKE}larger_pieces]", f"{A_MISTAKE}seek]"


@pytest.mark.full
@pytest.mark.skipif(not is_linux(), reason="this is another system")
@pytest.mark.timeout(scaled(400))
@pytest.mark.parametrize(
    "tests",
    [NOTHING_LEFT, TASKS, A_BLANK, TOLD, UNTOLD],
    ids=["nothing left", "tasks", "a blank", "a cause that is told", "a cause that is not told"],
)
def test_it_passes_where_linux_is_denied(tests):
    env = {**os.environ, "LAB_PRETEND_SYSTEM": "other"}
    for name in [name for name in env if name.startswith("PYTEST_XDIST")]:
        del env[name]
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:xdist", tests]
    done = subprocess.run(command, env=env, cwd=ROOT, capture_output=True, text=True, timeout=scaled(380))
    assert done.returncode == 0, done.stdout


@pytest.mark.full
def test_the_live_view_counts_a_backends_connections(monkeypatch):
    monkeypatch.setenv("LAB_PRETEND_SYSTEM", "other")
    with Stage("03_sse_offload", "header") as stage:
        ada, [sse, front] = Session(stage.port), stage.processes
        ada.log_in()
        watcher = Watcher("", front.stats, KernelLists(), [BackendPlace("sse", sse.stats, partial(master_of, sse))])
        with EventStreamPool(stage.port, 3, cookie=ada.cookie) as streams:
            streams.wait_for_events(1, 30)
            seen = watcher.look()
    assert [backend.under_way for backend in seen.backends] == [3]
    assert seen.written == {}, "what a thread writes is not told"
