"""What each task of this step must do, in the repository and in a learner's folder."""

from offload_lab.exercises.expectation import expect
from offload_lab.stages import manifest
from offload_lab.stages.stage import Stage

from ..lesson import channel_diagnoses, diagnoses, thread_diagnoses

STEP = manifest.find("08_take_it_home")


def observed(lesson):
    with Stage(STEP, "deployed", options=lesson.OPTIONS) as stage:
        return lesson.observe(stage)


def test_task_routes():
    seen = observed(diagnoses)
    expect("GET /subscribe as ada", seen.stream, "hello")
    expect("GET /ws as ada, with an upgrade", seen.websocket, "101")


def test_task_threads():
    seen = observed(thread_diagnoses)
    wanted = ["hello"] * thread_diagnoses.STREAMS
    expect("GET /subscribe, four times as ada", ", ".join(seen.streams), ", ".join(wanted))
    expect("the front's stats server", f"offload threads: {seen.offloads}", "offload threads: True")


def test_task_channels():
    seen = observed(channel_diagnoses)
    expect("GET /subscribe as ada", ", ".join(seen.ada), ", ".join(channel_diagnoses.FOR_ADA))
    expect("GET /subscribe as grace", ", ".join(seen.grace), ", ".join(channel_diagnoses.FOR_GRACE))
