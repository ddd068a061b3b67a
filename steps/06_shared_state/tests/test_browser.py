"""Two real browsers on two backends, and what their pages count when both backends are killed."""

import pytest

from offload_lab.testing import chromium
from offload_lab.timeouts import scaled

TIMEOUT_S = 40
COUNTS = "['had', 'missed', 'twice'].map(id => Number(document.getElementById(id).textContent))"
SERVED = "document.querySelector('#state').textContent.startsWith('served by')"


@pytest.fixture(scope="module")
def browser():
    with chromium() as browser:
        yield browser


def log_in(browser, stage, name, password):
    page = browser.new_context(viewport={"width": 320, "height": 640}).new_page()
    page.set_default_timeout(scaled(TIMEOUT_S) * 1000)
    page.goto(stage.url)
    page.get_by_label("User name").fill(name)
    page.get_by_label("Password").fill(password)
    page.get_by_role("button", name="Log in").click()
    page.wait_for_url(f"{stage.url}/")
    assert page.evaluate("document.documentElement.scrollWidth") <= 320, "it fits a phone"
    return page


def test_two_browsers_miss_nothing_while_both_backends_are_killed(browser, quiet, say):
    pages = [log_in(browser, quiet, *user) for user in (("ada", "lovelace"), ("grace", "hopper"))]
    for page in pages:
        page.wait_for_function(SERVED)
    marker, seen = "mind the step", "document.querySelector('#events li')?.textContent.includes('{}')"
    say(1, marker)
    for page in pages:
        page.wait_for_function(seen.format(marker))
    before = [page.evaluate(COUNTS)[0] for page in pages]
    killed = {name: quiet.kill_worker(name) for name in ("stream_a", "stream_b")}
    say(20)
    for name, pid in killed.items():
        quiet.other_worker(name, pid)
    pages[0].get_by_label("An announcement to all clients").fill("we are <b>back</b>")
    pages[0].get_by_role("button", name="Announce").click()
    for page, had in zip(pages, before, strict=True):
        page.wait_for_function(seen.format("ada: we are <b>back</b>"))
        assert page.evaluate(COUNTS) == [had + 21, 0, 0]
        page.context.close()


def test_the_payload_arrives_on_the_page(browser, started):
    page = log_in(browser, started("cache", tick_s=0.05), "ada", "lovelace")
    page.wait_for_function("document.querySelectorAll('#events li').length == 8")
    assert page.locator("#state").inner_text().startswith("a payload for ada: 125128 characters, 2000 departures")
    page.context.close()
