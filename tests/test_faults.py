"""Other people's clients, directly and behind nginx, while something on their way ends: each cell of the fault table.

All clients of a step are connected at once, and every fault happens once, to all of them.
"""

import pytest

from offload_lab import nginx
from offload_lab.errors import Missing
from offload_lab.guesses import results
from offload_lab.testing import require

from .peers import table
from .peers.faults import Run, faults_of
from .peers.trial import PLANS, Trial

CELLS = [cell for step in PLANS for cell in table.cells(step)]
pytestmark = pytest.mark.full


def name(cell):
    return f"{PLANS[cell.step].step}-{cell.fault}-{cell.client.name}-{cell.route}".replace(" ", "_")


@pytest.fixture(scope="session")
def run():
    """``run(step)``: all its faults, the first time that it is asked for."""
    runs = {}

    def once(step):
        if step not in runs:
            with Trial(PLANS[step]) as trial:
                runs[step] = Run(trial, step)
                for fault in faults_of(step):
                    runs[step].suffer(fault)
                runs[step].record(results() / f"faults-{step}.json")
        return runs[step]

    return once


@pytest.mark.timeout(1200)  # the first test of a step has all of its faults in it
@pytest.mark.parametrize("cell", CELLS, ids=name)
def test_a_client_comes_back_and_loses_nothing(run, cell):
    try:
        nginx.find()
    except Missing as missing:
        require(False, missing.what, missing.install)
    cell.client.require()
    outcome = run(cell.step).outcomes[cell.fault, cell.client.name, cell.route]
    assert (outcome.how, outcome.code) == (cell.how, cell.code)
    assert (outcome.lost, outcome.twice) == (0, 0)
    assert outcome.in_vain <= 1, "it comes back with its next attempt; one may be under way when all is whole again"


def test_the_field_notes_show_these_cells():
    text = table.NOTES.read_text()
    assert table.replaced(text) == text
