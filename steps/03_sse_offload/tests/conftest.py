"""Every front that a test asks for, started once and side by side, and what the tests of this folder share."""

import dataclasses
import os
import sqlite3
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from offload_lab.clients.session import Session
from offload_lab.clients.sse import SseClient
from offload_lab.stages import manifest
from offload_lab.stages.stage import Stage
from offload_lab.stages.step import Step, Variant
from offload_lab.timeouts import scaled

STEP = manifest.find("03_sse_offload")
FAST = {"tick_s": "0.1", "heartbeat_s": "0.1"}
OFFLOADING = [variant.name for variant in STEP.variants if variant.name != "blocking"]
ALL = ["blocking", *OFFLOADING]
TIMEOUT_S = 30


class Watched(Stage):
    """A stage that shows what its two workers hold."""

    @property
    def backend(self):
        return self.processes[0]

    def open_streams(self):
        """How many streams the backend serves: its busy cores, a greenlet each."""
        [worker] = self.backend.stats()["workers"]
        return sum(core["in_request"] for core in worker["cores"])

    def descriptors(self):
        """How many files, sockets included, the workers of front and backend have open."""
        return [len(os.listdir(f"/proc/{process.workers()[0].pid}/fd")) for process in (self.front, self.backend)]


class LoggedInStage(Watched):
    """A stage with ada logged in."""

    def prepare(self):
        self.ada = Session(self.port)
        self.ada.log_in()

    def subscribe(self, **options):
        return SseClient(self.port, **{"cookie": self.ada.cookie, **options})

    @contextmanager
    def changed(self, table, column, value):
        """Another value in ada's row of `table`, and back again afterwards."""
        where = {"auth_user": "id = 1", "django_session": f"session_key = '{self.ada.cookies['sessionid']}'"}[table]
        with closing(
            sqlite3.connect(self.run / "django.sqlite3", timeout=scaled(TIMEOUT_S), isolation_level=None)
        ) as database:
            [(before,)] = database.execute(f"SELECT {column} FROM {table} WHERE {where}")  # noqa: S608 (our own words)
            update = f"UPDATE {table} SET {column} = ? WHERE {where}"  # noqa: S608
            database.execute(update, [value])
            try:
                yield
            finally:
                database.execute(update, [before])


def altered(front: str, folder: Path, *changes: tuple[str, str], alone: bool = False) -> Step:
    """This step with one variant, "altered": the front's text changed, and no backend if it is to be `alone`."""
    text = (STEP.folder / f"{front}.ini").read_text().replace("%d", f"{STEP.folder}/")
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    ini = folder / f"{front}.ini"
    ini.write_text(text)
    backend = () if alone else STEP.variant(front).inis[:-1]
    inis = (*(str(STEP.folder / name) for name in backend), str(ini))
    return dataclasses.replace(STEP, variants=(Variant("altered", inis, "for a test"),))


@contextmanager
def side_by_side(stages):
    """All of them started, and in the end stopped, at the same time; one after the other would take half a minute."""
    with ThreadPoolExecutor(len(stages) or 1) as pool:
        starts = [pool.submit(stage.__enter__) for stage in stages.values()]
        wait(starts)  # for all of them, else one that failed would leave the slower ones behind
        try:
            for started in starts:
                started.result()
            yield stages
        finally:
            list(pool.map(lambda stage: stage.__exit__(None, None, None), stages.values()))


def wanted(request, fixture):
    """The fronts for which this session's tests ask `fixture`."""
    asked = [item.callspec.params.get(fixture) for item in request.session.items if hasattr(item, "callspec")]
    return [front for front in ALL if front in asked]


@pytest.fixture(scope="session")
def stages(request):
    with side_by_side(
        {front: LoggedInStage(STEP, front, placeholders=FAST) for front in wanted(request, "stage")}
    ) as stages:
        yield stages


@pytest.fixture
def stage(request, stages):
    """One front with its backend; a test parametrizes it, indirectly, with the fronts it is about.

    Not session-wide: pytest would then group the tests of all modules by front, and start the browser for each.
    """
    return stages[request.param]
