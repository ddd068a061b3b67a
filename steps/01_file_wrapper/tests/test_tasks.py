"""What each task of this step must do, for any answer: these tests also run against a learner's folder."""

import pytest

from offload_lab.clients import SlowReader, ping
from offload_lab.exercises.connection_owner import open_file_position, owner_in_words, wait_for_owner
from offload_lab.exercises.expectation import expect
from offload_lab.measure.scenarios import memory_mib
from offload_lab.stages import manifest
from offload_lab.stages.stage import Stage
from offload_lab.system import NOT_TOLD

STEP = manifest.find("01_file_wrapper")
SLOW_MIB_S = 1


def who_sends(stage, path):
    """In words: who sends `path` to a slow client. If it is an offload thread, a bystander must be answered too."""
    with SlowReader(stage.port, path, rate_mib_s=SLOW_MIB_S) as reader:
        sender = owner_in_words(*wait_for_owner(stage, reader))
        if sender == "an offload thread":
            assert ping(stage.port, timeout_s=30).status == 200
        return sender


@pytest.fixture
def static_file(tmp_path):
    """A folder with a file in it that uWSGI sends by itself, without the app."""
    (tmp_path / "static_file").write_bytes(b"fragile " * 2**21)
    return tmp_path


def test_task_offload_threads(static_file):
    """The offload thread alone, with a file that bypasses the app."""
    with Stage(STEP, "offload", placeholders={"mib": "1"}, options=["--check-static", str(static_file)]) as stage:
        expect("GET /static_file, a file that needs no app", who_sends(stage, "/static_file"), "an offload thread")


def test_task_app():
    with Stage(STEP, "offload") as stage, SlowReader(stage.port, "/file", rate_mib_s=SLOW_MIB_S):
        [worker] = stage.workers()
        taken_mib = memory_mib(worker.pid)
        got = "a few MiB" if taken_mib < 32 else f"{taken_mib:.0f} MiB"
        expect("GET /file (64 MiB) and looked at the memory of the worker", got, "a few MiB")


def test_task_file_wrapper(record_property):
    """The app alone, in the INI without an offload thread: the test adds one."""
    with Stage(STEP, "file_wrapper", options=["--offload-threads", "1"]) as stage:
        expect("GET /file beside an idle offload thread", who_sends(stage, "/file"), "an offload thread")
        with SlowReader(stage.port, "/file", rate_mib_s=SLOW_MIB_S):
            position = open_file_position(stage.workers()[0].pid, stage.run)
        if position is None:
            record_property("at which byte the app's open file stands", NOT_TOLD)
        else:
            expect("GET /file, and looked where the app's open file stands", f"byte {position}", "byte 0")
