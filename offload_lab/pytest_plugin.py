"""For all tests: what is missing skips the test that needs it and says how to get it."""

from collections.abc import Generator

import pytest

from .errors import Missing
from .testing import require


def skipped_where_missing() -> Generator[None, object, object]:
    try:
        return (yield)
    except Missing as missing:
        require(False, missing.what, missing.install)
        raise


@pytest.hookimpl(wrapper=True)
def pytest_runtest_setup() -> Generator[None, object, object]:
    return (yield from skipped_where_missing())


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call() -> Generator[None, object, object]:
    return (yield from skipped_where_missing())
