"""A real browser: log in, see tickets, lose the backend, come back, log out, be refused; and behind nginx."""

from dataclasses import replace

import httpx
import pytest

from offload_lab.errors import MissingDependencyError
from offload_lab.paths import results
from offload_lab.process.deadlines import Deadline
from offload_lab.process.polling import wait_for
from offload_lab.stages import nginx
from offload_lab.testing import CHROMIUM_ARGUMENTS, require, require_chromium
from offload_lab.timeouts import scaled

from .conftest import FAST, STEP, TIMEOUT_S, LoggedInStage

WINDOW = {"width": 760, "height": 430}
IN_STATE = "document.querySelector('#state').dataset.is == '{}'"
NEWEST = "Number(document.querySelector('#events li b')?.textContent.slice(4) ?? 0)"


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    """A browser with a new profile, as a context that all tabs share."""
    path = require_chromium()
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        context = playwright.chromium.launch_persistent_context(
            tmp_path_factory.mktemp("profile"),
            executable_path=path,
            args=CHROMIUM_ARGUMENTS,
            viewport=WINDOW,
            ignore_https_errors=True,  # the certificate of a stage's nginx is its own
        )
        context.set_default_timeout(scaled(TIMEOUT_S) * 1000)
        yield context
        context.close()


@pytest.fixture
def page(browser):
    """The first tab, not logged in; kept for all tests, since opening another takes a second."""
    browser.clear_cookies()
    [page] = browser.pages
    page.set_viewport_size(WINDOW)
    yield page
    page.goto("about:blank")


def log_in(page, url):
    page.goto(url)
    page.get_by_label("User name").fill("ada")
    page.get_by_label("Password").fill("lovelace")
    page.get_by_role("button", name="Log in").click()
    page.wait_for_url(f"{url}/")


def restart(backend):
    backend.stop()
    backend.start()
    backend.wait_ready(Deadline(TIMEOUT_S))


@pytest.mark.parametrize("stage", ["header"], indirect=True)
def test_a_whole_session_in_chromium_works(stage, browser, page):
    errors = []
    page.on("pageerror", lambda error: errors.append(error))
    log_in(page, stage.url)
    page.wait_for_function(f"{NEWEST} >= 2")
    assert page.locator("#who").inner_text() == "ada"
    assert "for ada" in page.locator("#events li").first.inner_text()
    page.screenshot(path=results() / "screenshots" / "ticket-hall.png")  # notebook 03 shows it

    last = page.evaluate(NEWEST)
    stage.backend.stop()
    page.wait_for_function(IN_STATE.format("connecting"))
    stage.backend.start()
    stage.backend.wait_ready(Deadline(TIMEOUT_S))
    page.wait_for_function(f"{IN_STATE.format('open')} && {NEWEST} > {last}")  # by itself, and after the last number

    other = browser.new_page()
    other.goto(stage.url)
    other.get_by_role("button", name="Log out").click()
    other.wait_for_url("**/accounts/login/")
    assert other.evaluate("fetch('/subscribe').then(answer => answer.status)") == 403
    other.close()
    restart(stage.backend)
    page.wait_for_function(IN_STATE.format("refused"))
    page.reload()
    assert page.url == f"{stage.url}/accounts/login/?next=/"
    assert not errors


@pytest.mark.parametrize(
    "stage", ["no_start_response", "content_type", "addvar", "goto", "http_proxy", "blocking"], indirect=True
)
def test_every_other_front_shows_tickets_too(stage, page):
    page.context.add_cookies([{"name": "sessionid", "value": stage.ada.cookies["sessionid"], "url": stage.url}])
    page.goto(stage.url)
    page.wait_for_function(f"{NEWEST} >= 2")
    assert page.locator("#state").inner_text() == "connected"


@pytest.mark.parametrize("stage", ["header"], indirect=True)
def test_both_pages_fit_a_phone_and_load_nothing_from_elsewhere(stage, page):
    elsewhere = []
    page.on("request", lambda asked: asked.url.startswith((stage.url, "data:")) or elsewhere.append(asked.url))
    page.set_viewport_size({"width": 320, "height": 640})
    page.goto(stage.url)
    assert page.evaluate("document.documentElement.scrollWidth") <= 320
    log_in(page, stage.url)
    page.wait_for_function(f"{NEWEST} >= 1")
    assert page.evaluate("document.documentElement.scrollWidth") <= 320
    assert not elsewhere


@pytest.fixture(scope="module")
def proxied():
    """The front header.ini behind nginx.conf: TLS and HTTP/2."""
    try:
        nginx.find()
    except MissingDependencyError as missing:
        require(False, missing.what, missing.install)
    step = replace(STEP, variants=(replace(STEP.variant("header"), proxy="nginx.conf"),))
    with LoggedInStage(step, "header", placeholders=FAST) as stage:
        yield stage


def answers_of_nginx(stage):
    """The status of every request for the stream that has ended; all came over HTTP/2."""
    lines = (stage.run / "access.log").read_text().splitlines()
    return [line.split('"')[2].split()[0] for line in lines if '"GET /subscribe HTTP/2.0"' in line]


def test_behind_nginx_only_a_get_is_told_to_retry(proxied):
    front = proxied.process("header")
    front.stop()
    try:
        with httpx.Client(verify=False, timeout=TIMEOUT_S) as client:
            answers = {
                method: client.request(method, f"{proxied.proxy.url}/subscribe")
                for method in ("GET", "HEAD", "POST", "OPTIONS", "DELETE")
            }
    finally:
        front.start()
        front.wait_ready(Deadline(TIMEOUT_S))
    assert answers["GET"].headers["Content-Type"] == "text/event-stream"
    statuses = {method: answer.status_code for method, answer in answers.items()}
    assert statuses == {"GET": 200, "HEAD": 502, "POST": 502, "OPTIONS": 502, "DELETE": 502}


@pytest.mark.parametrize("name", ["sse", "header"])
def test_behind_nginx_a_stream_survives_every_restart(proxied, page, name):
    log_in(page, proxied.proxy.url)
    page.wait_for_function(f"{NEWEST} >= 2")
    last, ended = page.evaluate(NEWEST), len(answers_of_nginx(proxied))
    process = proxied.process(name)
    process.stop()
    wait_for(lambda: len(answers_of_nginx(proxied)) >= ended + 3, TIMEOUT_S, "two tries while it is away")
    process.start()
    process.wait_ready(Deadline(TIMEOUT_S))
    page.wait_for_function(f"{IN_STATE.format('open')} && {NEWEST} > {last}")
    assert set(answers_of_nginx(proxied)) == {"200"}
