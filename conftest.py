"""How the tests are shared out where pytest-xdist runs them side by side (``./lab test`` does)."""

import pytest


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config, items):
    """The tests of one file share their stages, so they stay together. Where a file goes through the notebooks or the
    steps, those of each of them do."""
    if not config.pluginmanager.hasplugin("xdist"):
        return
    for item in items:
        params = item.callspec.params if hasattr(item, "callspec") else {}
        one = params.get("notebook") or params.get("step")
        item.add_marker(pytest.mark.xdist_group(f"{item.path}{getattr(one, 'name', one) or ''}"))
