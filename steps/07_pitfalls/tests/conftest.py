"""Stages of this step for its tests: each variant started when first asked for, all ended with their test module."""

from concurrent.futures import ThreadPoolExecutor
from functools import cache

import pytest

from offload_lab.clients.session import Session
from offload_lab.clients.sse import SseClient
from offload_lab.stages.stage import Stage
from offload_lab.uwsgi import binary

STEP = "07_pitfalls"
TIMEOUT_S = 30
FAST = {"tick_s": "0.05", "heartbeat_s": "0.05"}  # for those INIs that have them; the others ignore them


class DjangoStage(Stage):
    """A stage whose Django has the demo users."""

    def log_in(self) -> Session:
        session = Session(self.port)
        session.log_in()
        return session

    def subscribe(self, **options) -> SseClient:
        return SseClient(self.port, **options)


@pytest.fixture(scope="module")
def stage_of():
    """`stage_of("buffer_size_broken")` is that variant, running."""
    stages = []

    @cache
    def start(variant):
        # broken variants are broken on the released uWSGI; the patched one fixes some of them
        chosen = binary.find("wheel") if variant.endswith("_broken") else None
        stages.append(DjangoStage(STEP, variant, placeholders=FAST, engine=chosen).__enter__())
        return stages[-1]

    yield start
    with ThreadPoolExecutor(len(stages) or 1) as pool:  # some take their time
        list(pool.map(lambda stage: stage.__exit__(None, None, None), stages))
