"""One Chromium for the tests of the live view."""

import pytest

from offload_lab.testing import chromium, require_linux
from offload_lab.timeouts import scaled

from .live_page import WITHIN_S


@pytest.fixture(scope="module")
def browser():
    require_linux("which thread holds a connection")
    with chromium() as browser:
        context = browser.new_context()
        context.set_default_timeout(scaled(WITHIN_S) * 1000)
        yield context
        context.close()
