"""One Chromium for the tests of the live view."""

from importlib.util import find_spec

import pytest

from offload_lab.testing import require, require_linux, require_program
from offload_lab.timeouts import scaled

from .live_page import ARGUMENTS, WITHIN_S


@pytest.fixture(scope="module")
def browser():
    require_linux("which thread holds a connection")
    require(find_spec("playwright") is not None, "Playwright", "./lab install test")
    chromium = require_program("chromium")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=ARGUMENTS)
        context = browser.new_context()
        context.set_default_timeout(scaled(WITHIN_S) * 1000)
        yield context
        context.close()
        browser.close()
