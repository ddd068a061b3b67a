"""The talk: complete, in time, filled in from recordings, and readable from the back row."""

import re
from importlib.util import find_spec

import pytest

from offload_lab.course import talk
from offload_lab.testing import chromium, require

EVERY = talk.slides(talk.SOURCE.read_text())
IN_HAND_MIN = 5  # for questions
WORDS_A_MINUTE = 130
FAULTS = """least => {
  const slide = Reveal.getCurrentSlide(), faults = []
  if (slide.scrollHeight > slide.clientHeight + 1 || slide.scrollWidth > slide.clientWidth + 1) faults.push('overflows')
  for (const one of slide.querySelectorAll('*')) {
    const words = [...one.childNodes].some(node => node.nodeType == 3 && node.textContent.trim())
    const svg = one.closest('svg'), scale = svg ? svg.getBoundingClientRect().width / svg.viewBox.baseVal.width : 1
    const small = parseFloat(getComputedStyle(one).fontSize) * scale < least
    if (words && !one.closest('.notes') && small) faults.push(one.outerHTML)
  }
  for (const one of slide.querySelectorAll('img')) if (!one.naturalWidth) faults.push(one.src)
  return faults
}"""

SMALLEST = """() => {
  const words = node => [...node.childNodes].some(child => child.nodeType == 3 && child.textContent.trim())
  const shown = [...document.body.querySelectorAll('*')].filter(
    one => words(one) && one.checkVisibility() && !one.closest('script, .small'))
  return Math.min(...shown.map(one => parseFloat(getComputedStyle(one).fontSize)))
}"""
NOT_DARK = """() => {
  const light = colour => Math.max(...colour.match(/\\d+/g).slice(0, 3)) > 127
  const transparent = colour => colour.endsWith(', 0)')
  const white = [...document.querySelectorAll('.reveal, .reveal .present, .reveal .present *')].filter(one => {
    const colour = getComputedStyle(one).backgroundColor
    return !transparent(colour) && light(colour)
  })
  const dark = [...document.querySelectorAll('.reveal .present, .reveal .present *:not(.notes, .notes *)')].filter(
    one => !(one instanceof SVGElement) && !light(getComputedStyle(one).color))
  return [...white, ...dark].map(one => one.outerHTML.slice(0, 90))
}"""


@pytest.mark.parametrize(("name", "minutes"), talk.DECKS.items())
def test_a_deck_fits_its_minutes_with_time_for_questions(name, minutes):
    assert (
        minutes - 2 * IN_HAND_MIN
        <= sum(slide.minutes for slide in talk.chosen(EVERY, minutes))
        <= minutes - IN_HAND_MIN
    )


def minutes_of(slide):
    """Of the notes read aloud, the demos, and what the class does."""
    text = talk.TO_FILL.sub("7", slide.notes)
    announced = [sum(map(int, re.findall(rf"\*\*{what}, (\d+) minute", text))) for what in ("Demo", "Class")]
    return len(re.findall(r"[\w'-]+", text)) / WORDS_A_MINUTE, *announced


def test_each_slides_notes_fit_its_minutes_and_the_talk_says_how_long_they_are():
    assert [slide.title for slide in EVERY if sum(minutes_of(slide)) > slide.minutes] == []
    deck = talk.chosen(EVERY, 90)
    spoken, demos, of_class = (round(sum(column)) for column in zip(*map(minutes_of, deck), strict=True))
    planned = sum(slide.minutes for slide in deck)
    said = (
        f"take {spoken} minutes, its demos {demos} and the class {of_class}: {spoken + demos + of_class} of {planned}"
    )
    assert said in " ".join(talk.SOURCE.read_text().split())


def test_every_slide_has_notes_and_every_demo_its_command_and_what_appears():
    assert [slide.title for slide in EVERY if not slide.notes] == []
    demos = [slide.notes for slide in EVERY if "**Demo" in slide.notes]
    assert len(demos) > 5
    assert [notes for notes in demos if not re.search(r"\*\*Demo, \d+ minutes.\*\*[^*]*`\./lab ", notes)] == []
    assert [notes for notes in demos if "ppears" not in notes and "./lab lint" not in notes] == []


def test_a_number_that_was_measured_is_filled_in_and_never_typed(tmp_path):
    measured = re.compile(r"\b\d[\d,.]* ?(?:ms|KiB)\b")
    assert [slide.title for slide in EVERY if measured.search(slide.body + slide.notes)] == []
    shown = talk.filled("{{measured 01_file_wrapper-offload | answered_meanwhile}}", tmp_path)
    assert shown == "30"


def test_code_that_is_too_long_for_a_slide_is_refused(tmp_path):
    with pytest.raises(talk.LabError, match="a slide has 1 to 12"):
        talk.filled("{{code steps/03_sse_offload/header.ini | =}}", tmp_path)


@pytest.fixture
def decks(tmp_path):
    require(find_spec("sphinx_revealjs") is not None, "sphinx_revealjs", "./lab install slides")
    return talk.write_all(tmp_path)


def smallest_of_replay(page):
    """The size of the smallest letters of the replay on the current slide, as the room sees them."""
    frame = page.wait_for_selector("section.present iframe[src]")
    scale = frame.evaluate("one => one.getBoundingClientRect().width / one.offsetWidth")
    replay = frame.content_frame()
    replay.wait_for_selector(".side .sentence")
    return replay.evaluate(SMALLEST) * scale


@pytest.mark.full
def test_each_slide_is_readable_from_the_back_row(decks):

    with chromium() as browser:
        page = browser.new_page(viewport={"width": 1280, "height": 720})
        asked = []
        page.on("request", lambda request: asked.append(request.url))
        page.goto(decks[-1].as_uri())
        page.wait_for_function("Reveal.isReady()")
        assert page.evaluate("Reveal.getTotalSlides()") == len(EVERY)
        for slide in EVERY:
            assert page.evaluate(FAULTS, 28) == [], slide.title
            if "{{live" in slide.body:
                assert smallest_of_replay(page) >= 28, slide.title
            page.keyboard.press("ArrowRight")
    assert {url.partition(":")[0] for url in asked} <= {"file", "data", "blob"}


@pytest.mark.full
def test_each_slide_is_dark_where_the_system_is_dark(decks):
    with chromium() as browser:
        page = browser.new_page(viewport={"width": 1280, "height": 720}, color_scheme="dark")
        page.goto(decks[-1].as_uri())
        page.wait_for_function("Reveal.isReady()")
        for slide in EVERY:
            assert page.evaluate(NOT_DARK) == [], slide.title
            page.keyboard.press("ArrowRight")
