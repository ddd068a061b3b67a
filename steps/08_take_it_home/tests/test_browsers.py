"""Two real browsers through nginx with TLS and HTTP/2: notifications, messages, a download."""

import pytest

from offload_lab.testing import chromium
from offload_lab.timeouts import scaled

from .conftest import TIMEOUT_S


@pytest.fixture(scope="module")
def browser():
    with chromium() as browser:
        yield browser


def log_in(browser, shop, name, password):
    page = browser.new_context(ignore_https_errors=True).new_page()  # its certificates are the system's
    page.set_default_timeout(scaled(TIMEOUT_S) * 1000)
    page.goto(shop.https)
    page.get_by_label("Username").fill(name)
    page.get_by_label("Password").fill(password)
    page.get_by_role("button", name="Log in").click()
    page.wait_for_url(f"{shop.https}/")
    return page


def wait_for_text(page, text):
    page.get_by_text(text).first.wait_for()


def test_two_browsers_are_notified_write_to_each_other_and_fetch_a_file(browser, shop):
    (shop.run / "downloads" / "größe.pdf").write_bytes(b"%PDF-1.7")
    ada, grace = (log_in(browser, shop, *user) for user in (("ada", "lovelace"), ("grace", "hopper")))
    for page in (ada, grace):
        wait_for_text(page, "connected to process")
    assert grace.get_by_label("Text").count() == 0, "only staff sends"
    ada.get_by_label("To: all, user:NAME or group:NAME").fill("group:buyers")
    ada.get_by_label("Text").fill("<b>a notice</b>")
    ada.get_by_role("button", name="Send").click()
    for page in (ada, grace):
        wait_for_text(page, "ada: <b>a notice</b>")
        page.goto(f"{shop.https}/chat")
        page.get_by_text("connected", exact=True).wait_for()
    for writer, reader, name in ((ada, grace, "ada"), (grace, ada, "grace")):
        writer.get_by_label("Message", exact=True).fill(f"<i>hello from {name}</i>")
        writer.get_by_role("button", name="Send").click()
        wait_for_text(reader, f"{name}: <i>hello from {name}</i>")
    ada.goto(f"{shop.https}/downloads/")
    with ada.expect_download() as download:
        ada.get_by_role("link", name="größe.pdf").click()
    assert download.value.suggested_filename == "größe.pdf"
    for page in (ada, grace):
        page.context.close()
