"""What the tests of the book and of the slides need."""

from importlib.util import find_spec

import pytest

from offload_lab.testing import require

NEEDED = ("furo", "ipykernel", "myst_nb", "nbclient", "sphinx_revealjs")


@pytest.fixture(scope="session")
def book_tools():
    for module in NEEDED:
        require(find_spec(module) is not None, module, "./lab test, or: pip install -e '.[book]'")
