"""What each task of this step must do, whoever solved it: these tests also run against a learner's folder."""

from offload_lab.exercises.expectation import expect
from offload_lab.stages import manifest
from offload_lab.stages.stage import Stage

from ..lesson import channel_diagnoses, diagnoses

STEP = manifest.find("08_take_it_home")


def test_task_routes():
    with Stage(STEP, "deployed") as stage:
        seen = diagnoses.observe(stage)
    expect("GET /subscribe, four times as ada", ", ".join(seen.streams), ", ".join(["hello"] * diagnoses.STREAMS))
    expect("GET /ws, as ada, with an upgrade", seen.websocket, "101")


def test_task_threads():
    with Stage(STEP, "deployed") as stage:
        seen = diagnoses.observe(stage)
    expect("GET /subscribe, four times as ada", ", ".join(seen.streams), ", ".join(["hello"] * diagnoses.STREAMS))
    expect("the front's stats server", f"offload threads: {seen.offloads}", "offload threads: True")


def test_task_channels():
    with Stage(STEP, "deployed") as stage:
        seen = channel_diagnoses.observe(stage)
    expect(
        "GET /subscribe as ada, and a notification for each", ", ".join(seen.ada), ", ".join(channel_diagnoses.FOR_ADA)
    )
    expect("the same as grace", ", ".join(seen.grace), ", ".join(channel_diagnoses.FOR_GRACE))
