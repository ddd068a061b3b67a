"""One variant of every step on either uWSGI. With LAB_UWSGI=built a step's own tests prove the rest, as in CI."""

import pytest

from offload_lab.clients import ping
from offload_lab.errors import MissingDependencyError
from offload_lab.stages import manifest
from offload_lab.stages.stage import Stage
from offload_lab.testing import require
from offload_lab.uwsgi import binary


def the_one_to_copy(step):
    return next((variant for variant in step.variants if variant.reference), step.variants[0])


def engine_or_skip(name):
    try:
        return binary.find(name)
    except MissingDependencyError as missing:
        require(False, missing.what, missing.install)


@pytest.mark.full
@pytest.mark.parametrize("name", ["wheel", "built"])
@pytest.mark.parametrize("step", manifest.steps(), ids=lambda step: step.name)
def test_the_step_starts_and_answers(step, name):
    with Stage(step, the_one_to_copy(step).name, engine=engine_or_skip(name)) as stage:
        pong = ping(stage.port, timeout_s=30)
        assert pong.status == 200
        if step.loopback is None:  # what one deploys names no worker
            assert pong.pid == stage.workers()[0].pid
        assert stage.front.engine.name == name
