"""From a recording to the numbers people compare: recordings are made by hand here, so every number is known."""

import math

import pytest
from rich.console import Console

from offload_lab.clients import Probe
from offload_lab.measure import report
from offload_lab.measure.model import Recording, Sample, Transfer

BEGAN, HURRIED, ENDED = 1.0, 4.0, 5.0
NEVER = None


def recorded(*bystanders, variant="offload", samples=(), reference=False):
    """A download from 1 to 5, slow until 4; each bystander is a pair (sent, answered)."""
    return Recording(
        step="01_file_wrapper",
        variant=variant,
        says="",
        reference=reference,
        engine="wheel 2.0.30",
        machine="Linux",
        taken="2026-01-01T00:00:00+00:00",
        memory_is="PSS",
        transfer=Transfer("/file", 8.0, BEGAN, HURRIED, ENDED, 64.0),
        bystanders=[Probe(sent, answered) for sent, answered in bystanders],
        samples=list(samples),
    )


def sample(at, memory_mib, *workers):
    """`workers` are triples (pid, front, offloaded)."""
    rows = [
        {"pid": pid, "front": front, "busy": False, "requests": 0, "offloaded": count} for pid, front, count in workers
    ]
    return Sample(at, rows, memory_mib, None)


def test_waits_are_in_milliseconds():
    row = report.summarise(recorded((2.0, 2.001), (2.1, 2.103), (2.2, 2.205)))
    assert (row.median_ms, row.worst_ms) == pytest.approx((3, 5))


def test_only_those_who_came_while_the_download_was_slow_count():
    early, first, last, late = (BEGAN - 0.1, 3.0), (BEGAN, 1.1), (HURRIED - 0.1, 3.95), (HURRIED, 4.1)
    assert report.summarise(recorded(early, first, last, late)).asked == 2


def test_an_answer_after_the_slow_part_came_too_late():
    row = report.summarise(recorded((2.0, HURRIED - 0.001), (2.0, HURRIED), (2.0, ENDED)))
    assert (row.asked, row.answered_meanwhile) == (3, 1)


def test_a_bystander_who_was_never_answered_waited_forever():
    row = report.summarise(recorded((2.0, 2.001), (2.1, 2.101), (2.2, NEVER)))
    assert (row.answered_meanwhile, row.worst_ms) == (2, math.inf)
    assert row.median_ms == pytest.approx(1)


def test_without_bystanders_there_is_no_wait():
    row = report.summarise(recorded())
    assert (row.asked, row.answered_meanwhile, row.offloaded, row.peak_mib) == (0, 0, 0, 0.0)
    assert math.isnan(row.median_ms)
    assert math.isnan(row.worst_ms)


def test_the_peak_is_a_workers_and_not_the_masters():
    samples = [sample(1, {"10": 90.0, "11": 6.0}, (11, True, 0)), sample(2, {"10": 90.0, "11": 70.5}, (11, True, 0))]
    assert report.summarise(recorded(samples=samples)).peak_mib == 70.5


def test_the_peak_is_the_fronts_and_not_the_backends():
    workers = [(11, True, 0), (21, False, 0)]
    assert report.summarise(recorded(samples=[sample(1, {"11": 6.0, "21": 80.0}, *workers)])).peak_mib == 6.0


def test_the_peak_of_a_worker_that_was_replaced_counts_too():
    samples = [sample(1, {"11": 70.0}, (11, True, 0)), sample(2, {"12": 6.0}, (12, True, 0))]
    assert report.summarise(recorded(samples=samples)).peak_mib == 70.0


def test_a_worker_whose_memory_was_not_seen_has_none():
    assert report.summarise(recorded(samples=[sample(1, {}, (11, True, 0))])).peak_mib == 0.0


def test_offloaded_is_what_was_added_during_the_recording():
    samples = [sample(1, {}, (11, True, 7)), sample(2, {}, (11, True, 8)), sample(3, {}, (11, True, 9))]
    assert report.summarise(recorded(samples=samples)).offloaded == 2


def printed(*recordings):
    """The table as a terminal 100 columns wide shows it, one list of words a row."""
    console = Console(width=100, color_system=None)
    with console.capture() as capture:
        console.print(report.table(recordings))
    return [cells for line in capture.get().splitlines() if (cells := line.split())[:1] == ["01"]]


def test_the_ratio_is_to_the_median_of_the_reference():
    blocking = recorded((2.0, 4.5), variant="naive")
    offload = recorded((2.0, 2.0025), reference=True)
    assert printed(blocking, offload) == [
        ["01", "naive", "0", "of", "1", "2,500.0", "2,500.0", "1,000", "x", "0", "0"],
        ["01", "offload", "1", "of", "1", "2.5", "2.5", "1", "x", "0", "0"],
    ]


def test_without_a_reference_there_is_no_ratio():
    assert printed(recorded((2.0, 2.0025))) == [["01", "offload", "1", "of", "1", "2.5", "2.5", "0", "0"]]


def test_a_wait_without_end_is_shown_as_such():
    blocking = recorded((2.0, NEVER), variant="naive")
    assert printed(blocking, recorded((2.0, 2.001), reference=True))[0][5:9] == ["inf", "inf", "inf", "x"]


def test_a_row_is_red_as_soon_as_one_bystander_had_to_wait():
    drawn = report.table([recorded((2.0, 2.001), (2.1, 4.5)), recorded((2.0, 2.001))])
    assert [row.style for row in drawn.rows] == ["bold red", ""]


GAP = Sample(2, [], {}, None, gap="Connection refused")


def test_a_gap_counts_neither_as_nothing_offloaded_nor_as_no_memory():
    samples = [GAP, sample(1, {"11": 9.0}, (11, True, 7)), GAP, sample(3, {"11": 8.0}, (11, True, 9)), GAP]
    row = report.summarise(recorded(samples=samples))
    assert (row.offloaded, row.peak_mib, row.gaps, row.samples) == (2, 9.0, 3, 5)


@pytest.mark.parametrize("narrow", [False, True])
def test_gaps_are_said_below_the_table(narrow):
    console = Console(width=80, color_system=None)
    with console.capture() as capture:
        console.print(report.table([recorded(samples=[GAP, sample(1, {}, (11, True, 0))]), recorded()], narrow))
    text = " ".join(capture.get().split())
    assert text.count("samples show nothing") == 1
    assert "01 offload: 1 of 2 samples show nothing (Connection refused)" in text
