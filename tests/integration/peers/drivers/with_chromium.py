"""Chromium: an EventSource, or a WebSocket that its page opens again half a second later, in a tab for each target."""

import os
from urllib.parse import urlsplit

from contract import COOKIE, origin, targets
from playwright.sync_api import sync_playwright

ARGUMENTS = ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"]
ARGUMENTS += ["--disable-background-networking", "--disable-component-update", "--disable-sync"]
ARGUMENTS += ["--disable-background-timer-throttling", "--disable-renderer-backgrounding"]  # as in a tab that is seen
SAY = "const say = (is, more = {}) => console.log(JSON.stringify({ at, is, ...more }));"
EVENT_SOURCE = (
    "([at, path, types]) => {"
    + SAY
    + """
    const source = new EventSource(path)
    let open = false
    source.onopen = () => { open = true; say("open") }
    source.onerror = () => {
        say(source.readyState === EventSource.CLOSED ? "given up" : open ? "closed" : "failed")
        open = false
    }
    for (const type of types)
        source.addEventListener(type, e => say("event", { id: e.lastEventId, type, data: e.data }))
}"""
)
WEB_SOCKET = (
    "([at, path]) => {"
    + SAY
    + """
    const connect = () => {
        const socket = new WebSocket(location.origin.replace(/^http/, "ws") + path)
        let open = false
        socket.onopen = () => { open = true; say("open") }
        socket.onmessage = e => say("event", { data: e.data })
        socket.onclose = e => { say(open ? "closed" : "failed", { code: e.code }); setTimeout(connect, 500) }
    }
    connect()
}"""
)


def show(message):
    if message.text.startswith("{"):
        print(message.text, flush=True)


with sync_playwright() as playwright:
    browser = playwright.chromium.launch(executable_path=os.environ["LAB_CHROMIUM"], args=ARGUMENTS)
    for at, _, url in targets():
        context = browser.new_context(ignore_https_errors=True)  # its certificate store is the system's
        session = COOKIE.partition("sessionid=")[2].partition(";")[0]
        context.add_cookies([{"name": "sessionid", "value": session, "url": origin(url)}])
        page = context.new_page()
        page.on("console", show)
        page.goto(f"{origin(url)}/ping")  # a page of the same origin, with nothing on it
        script = WEB_SOCKET if url.startswith("ws") else EVENT_SOURCE
        page.evaluate(script, [at, urlsplit(url).path, os.environ.get("LAB_TYPES", "").split(",")])
    page.wait_for_event("close", timeout=0)
