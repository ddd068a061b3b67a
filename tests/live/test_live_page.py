"""The live page itself: readable from afar and on a phone, by keyboard, frozen, saved and played again."""

import itertools
from contextlib import contextmanager

import pytest

from offload_lab.live.recording import LiveRecording
from offload_lab.paths import ROOT
from offload_lab.process.polling import wait_for
from offload_lab.testing import require

from .live_page import WITHIN_S, live_page

pytestmark = pytest.mark.full
SMALLEST_TEXT = """() => Math.min(...[...document.querySelectorAll("body *")]
    .filter((one) => one.checkVisibility() && !one.matches(".small") && !one.closest("defs"))
    .filter((one) => [...one.childNodes].some((child) => child.nodeType === 3 && child.textContent.trim()))
    .map((one) => parseFloat(getComputedStyle(one).fontSize)))"""
FRAME = "() => Number(document.body.dataset.frame)"
WIDTH = "() => document.documentElement.scrollWidth"
PATHS_END = "Math.max(...[...document.querySelectorAll('.path')].map((one) => one.getBoundingClientRect().bottom))"
BAR_BEGINS = "document.getElementById('bar').getBoundingClientRect().top"
BUTTONS_END = "() => document.querySelector('#buttons').getBoundingClientRect().bottom"
COUNT_FLIGHTS = """() => { window.flown = [];
    const note = (all) => flown.push(...all.flatMap((one) => [...one.addedNodes].map((two) => two.textContent)));
    new MutationObserver(note).observe(document.querySelector(".flights"), { childList: true }); }"""
SPOKEN_AT = """() => { const [side, heard] = [new SideView(state.about.sides[0], document.body), []];
    for (let at = 0; at < 30; at += 0.25) {
        side.speak(at % 1.5 < 1 ? `Sentence ${Math.floor(at / 1.5)}.` : "busy", at);
        const text = side.spoken.textContent;
        if (text && text !== heard.at(-1)?.[1]) heard.push([at, text]);
    }
    return heard; }"""
MARKUP = "<img src=x onerror=document.title=1>"
SHOW_ALL = """() => state.frames.map((frame, index) => {
    state.frozen = true;
    show(index);
    const [all, first] = [(selector) => [...document.querySelectorAll(selector)], document.querySelector(".side")];
    return {
        stuck: first.matches(":has(.worker.stuck)"),
        bars: all(".side").map((side) => side.querySelectorAll(".links .bar").length),
        clocks: all(".queue .token.bystander").map((one) => one.getBoundingClientRect().width),
        cut: all(".place .name, .place .state").filter((one) => one.scrollWidth > one.clientWidth && one.clientWidth)
            .concat(all(".place h3").filter((one) => one.scrollWidth > one.clientWidth)).map((one) => one.textContent),
        heights: all(".place").map((one) => one.getBoundingClientRect().height),
    };
})"""
MOVING = "() => document.getAnimations().filter((one) => one.playState === 'running').length"


def with_markup(data):
    """Every text in it with markup behind, wherever it came from."""
    if isinstance(data, dict):
        return {key: with_markup(value) for key, value in data.items()}
    if isinstance(data, list):
        return [with_markup(value) for value in data]
    return f"{data}{MARKUP}" if isinstance(data, str) else data


def recording_of(number):
    path = ROOT / "docs" / "recordings" / f"live-{number}.json"
    require(path.exists(), path.name, "git checkout docs/recordings")
    return LiveRecording.load(path)


def test_it_is_readable_from_the_back_row_and_fits_a_phone(browser):
    with live_page(browser, "03_sse_offload", "header") as live:
        live.press("stream")
        live.page.wait_for_selector(".lane .token.stream")
        assert live.page.evaluate(SMALLEST_TEXT) >= 24
        live.page.set_viewport_size({"width": 360, "height": 740})
        assert live.page.evaluate(WIDTH) <= 360
        assert live.page.evaluate(SMALLEST_TEXT) >= 16


def test_two_sides_and_all_buttons_fit_one_screen_and_both_paths_a_phones(browser):
    with live_page(browser, "03_sse_offload") as live:
        live.page.wait_for_selector(".side >> nth=1")
        assert live.page.evaluate(BUTTONS_END) <= 720
        live.page.set_viewport_size({"width": 390, "height": 844})
        live.press("stream50")
        live.page.wait_for_selector(".lane.some")
        assert live.page.evaluate(PATHS_END) <= live.page.evaluate(BAR_BEGINS)


def test_a_hand_over_is_seen_from_the_queue_to_the_thread(browser):
    with live_page(browser, "03_sse_offload", "header") as live:
        live.page.evaluate(COUNT_FLIGHTS)
        live.press("stream")
        wait_for(lambda: "S1" in live.page.evaluate("flown"), WITHIN_S, "its token on its way")
        live.page.wait_for_selector(".links .pipe", state="attached")
        live.page.click("#do-freeze")
        live.step_to("ArrowLeft", "svg.links:not(:has(.pipe))")
        live.step_to("ArrowRight", ".links .pipe")
        assert live.page.locator(".links polygon.bold").count() == 2, "to the worker, and to one of two threads"


def test_nothing_moves_for_who_asked_for_that(browser):
    with live_page(browser, "03_sse_offload", "header") as live:
        live.press("stream")
        live.page.wait_for_selector(".lane.some .stripes")
        wait_for(lambda: live.page.evaluate(MOVING) > 0, WITHIN_S, "the stripes move")
        live.page.emulate_media(reduced_motion="reduce")
        live.page.reload()
        live.page.wait_for_selector(".lane.some .token.stream")
        assert live.page.evaluate(MOVING) == 0


def test_the_keyboard_does_it_all(browser):
    with live_page(browser, "01_file_wrapper", "offload") as live:
        keys = live.page.eval_on_selector_all("#buttons button", "all => all.map((one) => one.dataset.key)")
        assert len(set(keys)) == len(keys)
        live.page.keyboard.press("d")
        live.page.wait_for_selector(".lane .token.download")
        live.page.keyboard.press("Space")
        frozen = live.page.evaluate(FRAME)
        live.page.keyboard.press("ArrowLeft")
        live.page.keyboard.press("ArrowLeft")
        assert live.page.evaluate(FRAME) == frozen - 2
        live.page.keyboard.press("ArrowRight")
        assert live.page.evaluate(FRAME) == frozen - 1
        assert "frozen at" in live.page.inner_text("#messages")
        live.page.keyboard.press("Space")
        wait_for(lambda: live.page.evaluate(FRAME) > frozen, WITHIN_S, "it goes on")


def test_a_screen_reader_hears_what_is_new_and_not_each_second(browser):
    with live_page(browser, "01_file_wrapper", "file_wrapper") as live:
        spoken = live.page.locator("[aria-live=polite]")
        live.press("download")
        live.page.wait_for_selector(".worker.stuck")
        wait_for(lambda: "has been sending to the client" in spoken.inner_text(), WITHIN_S, "it is spoken")
        first = spoken.inner_text()
        sentence = live.page.inner_text(".sentence")
        wait_for(lambda: live.page.inner_text(".sentence") != sentence, WITHIN_S, "another second")
        assert spoken.inner_text().partition(" for ")[0] == first.partition(" for ")[0]


def test_a_screen_reader_hears_at_most_one_sentence_in_three_seconds(browser, tmp_path):
    (tmp_path / "replay.html").write_text(recording_of("03").page())
    page = browser.new_page()
    page.goto(f"file://{tmp_path}/replay.html")
    page.wait_for_selector(".side >> nth=1")
    heard = page.evaluate(SPOKEN_AT)
    assert [at for at, _ in heard][:2] == [0.75, 3.75]
    assert all(later - earlier >= 3 for (earlier, _), (later, _) in itertools.pairwise(heard))
    assert not any("busy" in text for _, text in heard), "what is over in half a second is not spoken"
    page.close()


def test_what_was_saved_is_played_from_a_file_with_nothing_from_elsewhere(browser, tmp_path):
    with live_page(browser, "01_file_wrapper") as live:
        live.press("download")
        live.page.wait_for_selector(".side.bad .worker.stuck")
        with live.page.expect_download() as saved:
            live.page.click("#do-save")
        saved.value.save_as(tmp_path / "saved.json")
    recording = LiveRecording.load(tmp_path / "saved.json")
    assert [side.variant for side in recording.recordings()] == ["file_wrapper", "offload"]
    (tmp_path / "replay.html").write_text(recording.page())
    page = browser.new_page()
    elsewhere = []
    page.on("request", lambda request: elsewhere.append(request.url))
    page.goto(f"file://{tmp_path}/replay.html")
    page.wait_for_selector(".side.bad .worker.stuck .token.download")
    assert elsewhere == [f"file://{tmp_path}/replay.html"]
    page.close()


@contextmanager
def played(browser, tmp_path, number, width=1280):
    path = tmp_path / f"{number}.html"
    path.write_text(recording_of(number).page())
    page = browser.new_page()
    page.set_viewport_size({"width": width, "height": 800})
    errors = []
    page.on("pageerror", lambda error: errors.append(error))
    page.goto(f"file://{path}")
    page.wait_for_selector(".token >> nth=0")
    yield page
    assert not errors
    page.close()


@pytest.mark.parametrize("number", ["01", "03", "04", "05", "06"])
def test_every_recording_of_the_repository_is_played_and_no_word_of_it_is_cut(browser, tmp_path, number):
    with played(browser, tmp_path, number) as page:
        frames = page.evaluate(SHOW_ALL)
    assert {name for frame in frames for name in frame["cut"]} == set()
    assert len({width for frame in frames for width in frame["clocks"]}) <= 1, "one size, among few and among many"


def test_a_worker_that_keeps_a_stream_is_shown_with_threads_it_does_not_use(browser, tmp_path):
    with played(browser, tmp_path, "03") as page:
        frames = page.evaluate(SHOW_ALL)
    assert {tuple(frame["bars"]) for frame in frames if frame["stuck"]} == {(2, 0)}
    assert {tuple(frame["bars"]) for frame in frames if not frame["stuck"]} == {(0, 0)}


@pytest.mark.parametrize("number", ["01", "03", "04", "05", "06"])
def test_on_a_phone_no_box_changes_its_height_and_no_word_is_cut(browser, tmp_path, number):
    with played(browser, tmp_path, number, width=390) as page:
        frames = page.evaluate(SHOW_ALL)
    assert {name for frame in frames for name in frame["cut"]} == set()
    of_both = [frame["heights"] for frame in frames if len(frame["heights"]) == len(frames[-1]["heights"])]
    assert len({tuple(heights) for heights in of_both}) == 1


def test_a_client_that_writes_markup_writes_text(browser, tmp_path):
    data = with_markup(recording_of("03").to_json())
    (tmp_path / "replay.html").write_text(LiveRecording(data["about"], data["frames"]).page())
    page = browser.new_page()
    errors = []
    page.on("pageerror", lambda error: errors.append(error))
    page.goto(f"file://{tmp_path}/replay.html")
    for part in (".sentence", ".line", ".token", "#messages"):
        page.wait_for_selector(f"{part}:has-text('{MARKUP}')")
    page.wait_for_selector(f".worker[title*='{MARKUP}']")
    assert page.locator("img").count() == 0
    assert not errors
    page.close()


def test_the_page_says_that_its_process_is_gone(browser):
    with live_page(browser, "01_file_wrapper", "offload") as live:
        live.view.closed.set()
        live.server.shutdown()
        live.server.server_close()
        live.page.wait_for_selector("#lost:not([hidden])")
        assert "./lab live" in live.page.inner_text("#lost")
