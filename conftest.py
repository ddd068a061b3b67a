"""How the tests are shared out where pytest-xdist runs them side by side (``./lab test`` does)."""

import re

import pytest

STEP_OR_NOTEBOOK = re.compile(r"\[(\d\d_\w+)")
SHARE_NOTHING = re.compile(r"/test_exercises_(answers|proofs|servers)\.py$")  # each test starts its own stages


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    """The tests of one file share their stages, so they stay together. Where a file goes through the notebooks or the
    steps, those of each of them do. Tests that share nothing come last, each by itself, so that no worker is idle."""
    from xdist.scheduler import LoadScopeScheduling

    class Together(LoadScopeScheduling):
        def _split_scope(self, nodeid):
            file, _, test = nodeid.partition("::")
            if SHARE_NOTHING.search(file):
                return nodeid
            place = STEP_OR_NOTEBOOK.search(test)
            return f"{file}{place[1] if place else ''}"

    return Together(config, log)
