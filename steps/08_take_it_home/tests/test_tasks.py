"""What each task of this step must do, whoever solved it: these tests also run against a learner's folder."""

from contextlib import ExitStack

from offload_lab.clients.session import Session
from offload_lab.exercises.expectation import expect
from offload_lab.stages import manifest
from offload_lab.stages.stage import Stage

from ..lesson import diagnoses

STEP = manifest.find("08_take_it_home")


def test_task_routes():
    with Stage(STEP, "deployed") as stage:
        seen = diagnoses.observe(stage)
    expect("GET /subscribe, four times as ada", ", ".join(seen.streams), ", ".join(["hello"] * diagnoses.STREAMS))
    expect("GET /ws, as ada, with an upgrade", seen.websocket, "101")


def test_task_threads():
    with Stage(STEP, "deployed") as stage, ExitStack() as exits:
        ada = Session(stage.port)
        ada.log_in()
        for _ in range(diagnoses.STREAMS):
            diagnoses.first_event(stage, ada.cookie, exits)
        busy = diagnoses.busy_workers(stage)
    called = f"GET /subscribe, {diagnoses.STREAMS} times as ada"
    expect(called, f"{busy} workers that stay busy", "0 workers that stay busy")
