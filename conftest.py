"""How the tests are shared out where pytest-xdist runs them side by side (``./lab test`` does)."""

import pytest


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config, items):
    """The tests of one file share their stages, so they stay together; each notebook is a file of its own."""
    if not config.pluginmanager.hasplugin("xdist"):
        return
    for item in items:
        notebook = getattr(item, "callspec", None) and item.callspec.params.get("notebook")
        item.add_marker(pytest.mark.xdist_group(f"{item.path}{notebook or ''}"))
