"""The signature picture from recordings made by hand: it draws whatever was seen, and says the same as the table."""

import math
import re
from dataclasses import replace

import pytest

from offload_lab.clients import Probe
from offload_lab.measure import report
from offload_lab.measure.model import Recording, Sample, Transfer
from offload_lab.paths import ROOT
from offload_lab.plots import guesses, timeline

WORKER, BELT = 11, 12


def recorded(*bystanders, busy=False, tid=BELT, held=True):
    """Seen every half second from 0 to 4; slow from 0.5 to 3.5. Each bystander is a pair (sent, answered)."""

    def sample(at):
        slow = 0.5 < at < 3.5
        worker = {"pid": WORKER, "front": True, "busy": busy and slow, "requests": 1, "offloaded": 0}
        return Sample(at, [worker], {}, {"pid": WORKER, "fd": 9, "tid": tid} if held and slow else None)

    return Recording(
        step="01_file_wrapper",
        variant="offload",
        says="",
        reference=True,
        engine="wheel 2.0.30",
        machine="Linux",
        taken="2026-01-01T00:00:00+00:00",
        memory_is="PSS",
        transfer=Transfer("/file", 8.0, 0.5, 3.5, 3.75, 64.0),
        bystanders=[Probe(sent, answered) for sent, answered in bystanders],
        samples=[sample(half / 2) for half in range(9)],
    )


QUICK, LATE, NEVER = (1.0, 1.001), (1.1, 3.6), (1.2, None)
GONE = replace(recorded(QUICK, busy=True).samples[4], workers=[], holder=None, gap="No such file or directory")


def with_a_gap(recording):
    """Nothing seen at 2.0 s."""
    return replace(recording, samples=[GONE if sample.at == GONE.at else sample for sample in recording.samples])


STATES = {
    "a gap": with_a_gap(recorded(LATE, busy=True, tid=WORKER)),
    "nothing but gaps": replace(recorded(QUICK), samples=[replace(GONE, at=0.5), GONE]),
    "offloaded": recorded(QUICK, QUICK),
    "blocked": recorded(LATE, LATE, busy=True, tid=WORKER),
    "a bystander who was never answered": recorded(QUICK, NEVER),
    "nobody answered": recorded(NEVER, busy=True, tid=WORKER),
    "no bystanders": recorded(),
    "no samples": replace(recorded(QUICK), samples=[]),
    "one sample": replace(recorded(QUICK), samples=recorded().samples[:1]),
    "no holder": recorded(QUICK, held=False),
    "a holder whose thread is not told": recorded(QUICK, tid=None),
    "busy with Python meanwhile": recorded(LATE, busy=True, tid=None),
    "open streams": replace(recorded(QUICK), transfer=Transfer("/", 0.0, 0.5, 3.5, 3.5, 0.0, kind="stream", count=5)),
    "a backend beside the front": replace(
        recorded(QUICK),
        samples=[Sample(1.0, [{"pid": 21, "front": False, "busy": True, "requests": 1, "offloaded": 0}], {}, None)],
    ),
}


@pytest.mark.full
@pytest.mark.parametrize("ending", ["png", "svg"])
def test_every_state_is_drawn(tmp_path, ending):
    path = timeline.save(timeline.signature(list(STATES.values())), tmp_path / "new folder" / f"picture.{ending}")
    assert path.read_bytes().startswith({"png": b"\x89PNG\r\n", "svg": b"<?xml"}[ending])


@pytest.mark.parametrize("state", STATES)
def test_the_title_says_what_the_table_says(state):
    [panel] = timeline.signature([STATES[state]]).axes
    row = report.summarise(STATES[state])
    assert panel.get_title(loc="left").startswith(f"offload: {row.answered_meanwhile} of {row.asked} bystanders ")


@pytest.mark.parametrize(
    ("kind", "count", "says"),
    [
        ("download", 1, "1 of 1 bystanders answered during the download"),
        ("stream", 1, "1 of 1 bystanders answered while 1 stream was open"),
        ("stream", 5, "1 of 1 bystanders answered while 5 streams were open"),
    ],
)
def test_the_title_says_what_they_were_answered_beside(kind, count, says):
    transfer = Transfer("/", 0.0, 0.5, 3.5, 3.5, 0.0, kind=kind, count=count)
    [panel] = timeline.signature([replace(recorded(QUICK), transfer=transfer)]).axes
    assert panel.get_title(loc="left") == f"offload: {says}"


def test_the_title_is_the_colour_of_the_stuck_as_soon_as_one_is():
    panels = timeline.signature([recorded(QUICK, QUICK), recorded(QUICK, NEVER)]).axes
    assert [panel._left_title.get_color() for panel in panels] == [timeline.FREE, timeline.STUCK]


def test_all_panels_share_a_time_axis_up_to_the_longest_download():
    long = replace(recorded(QUICK), transfer=Transfer("/file", 8.0, 0.5, 8.0, 9.0, 64.0))
    panels = timeline.signature([recorded(QUICK), long]).axes
    assert {panel.get_xlim() for panel in panels} == {(0, 9.15)}


def test_an_answer_after_the_end_of_the_download_is_still_on_the_picture():
    [panel] = timeline.signature([recorded((3.4, 6.0))]).axes
    assert panel.get_xlim()[1] > 6


def words(recording):
    [panel] = timeline.signature([recording]).axes
    return [text.get_text() for text in panel.texts]


@pytest.mark.parametrize(
    ("state", "says"),
    [
        ("offloaded", ["idle", "served by an offload thread"]),
        ("blocked", ["busy with one client", "served by the worker itself"]),
        ("no holder", ["idle", "served by the kernel: all was sent at once"]),
        ("busy with Python meanwhile", ["busy with one client", "served by the worker itself"]),
    ],
)
def test_the_lanes_say_who_was_busy_and_who_carried(state, says):
    assert words(STATES[state])[:2] == says


def test_without_samples_the_picture_claims_nothing_of_the_worker():
    claims = {"idle", "served by the kernel: all was sent at once"}
    assert not claims & set(words(STATES["no samples"]))


def test_an_idle_worker_is_not_called_the_owner_without_thread_data():
    """So it is on macOS, and on Linux where /proc keeps system calls to itself."""
    assert "served by the worker itself" not in words(STATES["a holder whose thread is not told"])


def test_an_unanswered_bystander_is_drawn_to_the_end_of_the_download():
    [panel] = timeline.signature([recorded(NEVER)]).axes
    assert list(panel.lines[0].get_xdata()) == [1.2, 3.75]


def test_neighbouring_looks_of_the_same_state_are_one_bar():
    assert timeline.busy_spans(recorded(busy=True).samples) == [(0.0, 1.0, False), (1.0, 3.5, True), (3.5, 4.0, False)]


def test_a_gap_is_drawn_as_one_and_not_as_an_idle_worker():
    spans = timeline.busy_spans(with_a_gap(recorded(busy=True)).samples)
    assert [busy for _, _, busy in spans] == [False, True, None, True, False]
    assert spans[2][:2] == (2.0, 2.5)
    drawn = timeline.signature([with_a_gap(recorded(QUICK, busy=True))])
    assert "no sample" in {text.get_text() for axes in drawn.axes for text in axes.texts}


def test_the_same_recording_is_the_same_svg(tmp_path):
    made = [timeline.save(timeline.signature([STATES["blocked"]]), tmp_path / name) for name in ("one.svg", "two.svg")]
    assert made[0].read_bytes() == made[1].read_bytes()


def test_the_readmes_picture_says_what_the_recordings_beside_it_say(tmp_path):
    docs = ROOT / "docs"
    blocked, offloaded = (
        Recording.load(docs / f"recordings/01_file_wrapper-{variant}.json") for variant in ("file_wrapper", "offload")
    )
    drawn = timeline.save(timeline.signature([blocked, offloaded]), tmp_path / "signature.svg")
    texts = re.compile("<text[^>]*>([^<]*)</text>")
    assert len(texts.findall(drawn.read_text())) > 20
    assert texts.findall((docs / "figures/signature.svg").read_text()) == texts.findall(drawn.read_text())


@pytest.mark.parametrize(
    ("guess", "measured", "says"),
    [
        (5, 5, "exactly so"),
        (4, 5, "about right"),
        (1, 20, "your guess was 20 times too small"),
        (3000, 2, "your guess was 1,500 times too large"),
        (1, 1.6, "your guess was 1.6 times too small"),
        (0, 0.5, "about right"),
        (0, 70, "not the same thing at all"),
        (-3, 70, "not the same thing at all"),
    ],
)
def test_a_guess_is_judged_in_words(guess, measured, says):
    assert guesses.verdict(guess, measured) == says


@pytest.mark.parametrize(("guess", "measured"), [(None, 5), (5, 5), (0, 0), (-3, 70), (1, 1e9), (1e9, 1), (None, 0)])
def test_any_guess_is_drawn(tmp_path, guess, measured):
    assert timeline.save(guesses.guess_beside(guess, measured, "MiB"), tmp_path / "guess.png").exists()


@pytest.mark.parametrize("guess", [None, 5])
def test_a_wait_without_end_is_drawn_too(tmp_path, guess):
    assert timeline.save(guesses.guess_beside(guess, math.inf, "ms"), tmp_path / "guess.png").exists()


def test_memory_is_drawn_with_one_bar_for_each_variant_and_size():
    peaks = {"naive": {16: 24.0, 64: 70.2}, "offload": {16: 6.0, 64: 6.1}}
    [panel] = guesses.memory(peaks).axes
    assert [bar.get_height() for bar in panel.patches] == [24.0, 70.2, 6.0, 6.1]
