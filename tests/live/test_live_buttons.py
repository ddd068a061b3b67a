"""The live view in Chromium: what it shows is what `./lab explain` says, whatever button was pressed before."""

import os
import random
import signal

import psutil
import pytest

from offload_lab.errors import MissingDependencyError
from offload_lab.process.polling import wait_for
from offload_lab.stages import manifest
from offload_lab.stages.overrides import altered
from offload_lab.testing import require, require_program
from offload_lab.timeouts import scaled
from offload_lab.uwsgi import binary

from .live_page import WITHIN_S, has_worker, live_page

WORKERS_SEEN = "n => new Set(state.frames.flatMap((one) => one.sides[0].workers.map((two) => two.pid))).size >= n"
HELD_SINCE_FIRST = """() => { const held = state.frames.map((one) => one.sides[0].backends[0]?.n ?? null);
    return held.slice(held.indexOf(1)); }"""
STEPS = ["01_file_wrapper", "03_sse_offload", "04_websocket", "05_uwsgi_api", "06_shared_state"]
SEQUENCES, PRESSES = 4, 10  # of each step: 20 sequences in all


@pytest.fixture
def engine():
    """The built uWSGI where there is one: step 05 shows more with it."""
    try:
        return binary.find("built")
    except MissingDependencyError:
        return binary.find()


def need_programs(step):
    for variant in manifest.find(step).variants:
        for name in variant.programs:
            require_program(name)


def wait_until_gone(pids):
    wait_for(lambda: not any(psutil.pid_exists(pid) for pid in pids), WITHIN_S, "no process is left")


@pytest.mark.full
@pytest.mark.timeout(scaled(600))
@pytest.mark.parametrize("step", STEPS)
def test_each_button_leads_to_what_explain_says(browser, engine, step):
    need_programs(step)
    with live_page(browser, step, engine=engine) as live:
        live.wait_until_it_agrees()
        for name in live.buttons():
            if name != "stream500":
                live.press(name)
                if name == "stop_backend":
                    live.page.wait_for_selector(".backend.down")
                    live.press(name)  # again, so that explain has all servers to ask
                live.wait_until_it_agrees()
    wait_until_gone(live.pids)


@pytest.mark.full
@pytest.mark.timeout(scaled(900))
@pytest.mark.parametrize("step", STEPS)
def test_no_sequence_of_buttons_makes_it_say_something_else(browser, engine, step):
    need_programs(step)
    dice = random.Random(step)  # noqa: S311 (no secret)
    with live_page(browser, step, engine=engine) as live:
        names = [name for name in live.buttons() if name not in ("stream500", "stop_backend")]
        for _ in range(SEQUENCES):
            for name in dice.choices(names, k=PRESSES):
                live.press(name)
            live.wait_until_it_agrees()
    wait_until_gone(live.pids)


@pytest.mark.full
def test_a_passed_socket_is_at_the_backend_and_outlives_the_worker(browser, monkeypatch, tmp_path):
    try:
        built = binary.find("built")
    except MissingDependencyError as missing:
        require(False, missing.what, missing.install)
    monkeypatch.setenv("LAB_RESULTS", str(tmp_path))
    line = "response-route-if-not = empty:${X_OFFLOAD} "
    passing = altered("03", "header", f"{line}passuwsgi:%(run)/sse.sock,0,0", without=[f"{line}uwsgi:"])
    with live_page(browser, passing, "header", engine=built) as live:
        live.press("stream")
        live.page.wait_for_selector(".backend .token.stream")
        assert "The backend sse serves 1 stream on sockets passed to it." in live.page.inner_text(".sentence")
        worker = live.shown()[0]["workers"][0][0]
        live.press("kill_worker")
        live.wait_shown(lambda sides: has_worker(sides[0]) and sides[0]["workers"][0][0] != worker, "another worker")
        live.page.wait_for_selector(".backend .token.stream")
        live.press("reload")
        live.page.wait_for_function(WORKERS_SEEN, arg=3)
        assert set(live.page.evaluate(HELD_SINCE_FIRST)) == {1}, "in sight also while the front is away"
    wait_until_gone(live.pids)


@pytest.mark.full
def test_a_loss_is_shown_where_it_was_and_a_client_that_leaves_is_none(browser):
    with live_page(browser, "03_sse_offload", "header") as live:
        live.press("stream")
        live.page.wait_for_selector(".side.good .lane .token.stream")
        live.press("leave")
        live.press("stream")
        live.page.wait_for_selector(".side.good .lane .token:text-is('S2')")
        assert live.page.locator(".token.lost").count() == 0
        live.press("kill_backend")
        live.page.wait_for_selector(".timeline .loss")
        live.page.click("#do-freeze")
        live.step_to("ArrowLeft", ".side.bad .lane .token.lost:text-is('S2')")
        assert live.page.inner_text(".sentence .text").startswith("Lost: 1 stream. ")
        live.step_to("ArrowRight", ".backend.new")
        assert [text[1:] for text in live.page.locator(".timeline .loss").all_text_contents()] == ["1"]
        live.page.click("#do-freeze")
        live.page.wait_for_selector(".side.good")
        live.page.wait_for_selector(".token.lost", state="detached")
    wait_until_gone(live.pids)


@pytest.mark.full
def test_a_backend_that_was_down_for_long_is_shown_as_new_when_it_is_back(browser):
    with live_page(browser, "03_sse_offload", "header") as live:
        live.press("stop_backend")
        live.page.wait_for_selector(".backend.down")
        down_at = live.page.evaluate("state.frames.at(-1).at")
        live.page.wait_for_function("at => state.frames.at(-1).at > at + state.about.alarm_s + 1", arg=down_at)
        live.page.click("#do-freeze")
        live.press("stop_backend")  # which starts it again
        live.step_to("ArrowRight", ".backend.new")
    wait_until_gone(live.pids)


def test_a_slow_download_blocks_one_side_and_not_the_other(browser):
    with live_page(browser, "01_file_wrapper") as live:
        live.press("download")
        live.page.wait_for_selector(".side.bad .worker.stuck .token.download")
        live.page.wait_for_selector(".side.good .lane .token.download")
        live.wait_shown(lambda sides: sides[0]["queue"] >= 2 and sides[1]["queue"] == 0, "bystanders wait on one side")
        sentences = live.page.locator(".sentence .text").all_inner_texts

        def both_say_it():
            """At one moment: a bystander may be served at another."""
            blocking, offload = sentences()
            words = ("has been sending to the client", "because no offload thread exists")
            return all(one in blocking for one in words) and "is idle. Offload thread 1 serves 1 download." in offload

        wait_for(both_say_it, WITHIN_S, "the sentences of both sides")
        live.remember()
    wait_until_gone(live.pids)


@pytest.mark.full
def test_a_front_that_dies_is_told_on_the_page_and_in_the_terminal(browser, capfd):
    with live_page(browser, "01_file_wrapper", "offload") as live:
        live.remember()
        os.kill(live.view.sides[0].stage.front.pid, signal.SIGKILL)
        live.page.wait_for_selector(".side.bad")
        sentence = live.page.locator(".sentence .text")
        wait_for(lambda: "SIGKILL" in sentence.inner_text(), WITHIN_S, "why it ended")
        assert "press Restart" in sentence.inner_text()
        terminal = []  # it is told there a few looks later than on the page
        wait_for(
            lambda: terminal.append(capfd.readouterr().err) or "SIGKILL" in "".join(terminal), WITHIN_S, "it there"
        )
        live.press("restart")
        live.page.wait_for_selector(".side.good .worker.idle")
    wait_until_gone(live.pids)
