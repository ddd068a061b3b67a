"""Other people's clients, directly and behind nginx, while something on their way ends: each cell of the fault table.

All clients of a step are connected at once, and every fault happens once, to all of them.
"""

from dataclasses import replace
from functools import cache

import pytest

from offload_lab import programs
from offload_lab.paths import results
from offload_lab.stages import nginx
from offload_lab.stages.manifest import steps_folder

from .peers import table
from .peers.clients import EVENT_SOURCES
from .peers.faults import Run, faults_of
from .peers.trial import PLANS, Trial

CELLS = [cell for step in PLANS for cell in table.cells(step)]
# Attempts after everything answers again: one that was under way, and those that meet a backend which is busy with all
# others who come back. Seconds would measure this machine's load; docs/field-notes.md has what was seen.
IN_VAIN = 3
pytestmark = pytest.mark.full


def name(cell):
    return f"{PLANS[cell.step].step}-{cell.fault}-{cell.client.name}-{cell.route}".replace(" ", "_")


@pytest.fixture(scope="session")
def run():
    """``run(step)``: all its faults, the first time that it is asked for."""

    @cache
    def once(step):
        try:
            with Trial(PLANS[step]) as trial:
                faults = Run(trial, step)
                for fault in faults_of(step):
                    faults.suffer(fault)
            faults.record(results() / f"faults-{step}.json")
            return faults
        except Exception as error:  # for every cell of the step: it is not tried again
            return error

    return once


@pytest.mark.timeout(3600)  # the first test of a step has all of its faults in it
@pytest.mark.parametrize("cell", CELLS, ids=name)
def test_a_client_comes_back_and_loses_nothing(run, cell):
    nginx.find()  # MissingDependencyError is a skip
    programs.require("openssl")
    cell.client.require()
    faults = run(cell.step)
    if isinstance(faults, Exception):
        raise faults
    outcome = faults.outcomes[cell.fault, cell.client.name, cell.route]
    assert (outcome.how, outcome.code) == (cell.how, cell.code), outcome.ending
    assert (outcome.lost, outcome.twice) == (0, 0)
    assert outcome.in_vain <= IN_VAIN


@pytest.mark.timeout(1800)
def test_without_error_page_an_eventsource_gives_up_behind_nginx(tmp_path):
    """What the table would show if step 03's nginx.conf did not answer 200 for a front that is away."""
    nginx.find()
    browsers = EVENT_SOURCES[:2]
    for client in browsers:
        client.require()
    lines = (steps_folder() / PLANS["03"].conf).read_text().splitlines(keepends=True)
    conf = tmp_path / "nginx.conf"
    conf.write_text("".join(line for line in lines if "error_page" not in line))
    with Trial(replace(PLANS["03"], clients=browsers, conf=str(conf))) as trial:
        faults = Run(trial, "03")
        faults.suffer("front stopped, started")
    found = {(client, route): outcome.how for (_, client, route), outcome in faults.outcomes.items()}
    assert found == {
        (client.name, route): "back" if route == "direct" else "gone"
        for client in browsers
        for route in table.routes(client)
    }


def test_the_field_notes_show_these_cells():
    text = table.NOTES.read_text()
    assert table.replaced(text) == text
