"""Guesses: what counts as one, how far off it was, and what is read back."""

import json
import math

import pytest

from offload_lab.measure.guesses import Guess, counts_as_guess, first_guesses, keep_guess
from offload_lab.plots.guesses import all_guesses


@pytest.mark.parametrize(
    ("guess", "counts"),
    [(5, True), (0.5, True), (0, True), (-1, True), (None, False), (True, False), ("5", False), (math.nan, False)],
    ids=str,
)
def test_only_a_finite_number_is_a_guess(guess, counts):
    assert counts_as_guess(guess) is counts


@pytest.mark.parametrize(
    ("guess", "measured", "ratio", "off"),
    [
        (50, 100, 0.5, 2),
        (200, 100, 2, 2),
        (0, 0, 1, 1),
        (3, 0, math.inf, math.inf),
        (0, 3, 0, math.inf),
        (-3, 3, 0, math.inf),
        (3, math.inf, 0, math.inf),
    ],
)
def test_a_guess_is_off_by_a_factor(guess, measured, ratio, off):
    saved = Guess("00_start", "how long?", guess, measured, "ms")
    assert (saved.ratio, saved.off) == (ratio, off)


@pytest.fixture
def kept(monkeypatch, tmp_path):
    monkeypatch.setenv("LAB_RESULTS", str(tmp_path))
    return tmp_path / "guesses.jsonl"


def test_there_are_no_guesses_without_a_file(kept):
    assert first_guesses() == []


def test_the_first_guess_of_each_question_counts(kept):
    keep_guess("03_sse_offload", "how many?", 3, 10, "of ten")
    keep_guess("00_start", "how long?", 5, math.inf, "ms")
    keep_guess("03_sse_offload", "how many?", 10, 10, "of ten")
    whole = kept.read_text()
    kept.write_text(f"{whole}[1]\n{{}}\n{whole[:40]}")
    assert [(saved.notebook, saved.guess) for saved in first_guesses()] == [("00_start", 5), ("03_sse_offload", 3)]


def test_a_guess_whose_numbers_are_words_is_left_out(kept):
    row = {"notebook": "00_start", "question": "how long?", "guess": "five", "measured": 3, "unit": "ms"}
    kept.write_text(json.dumps(row))
    assert first_guesses() == []


def test_the_picture_has_all_guesses_and_the_furthest_off_on_top():
    off_by = {"close": 90, "hundredfold": 10_000, "nothing": 0}
    figure = all_guesses([Guess("00_start", name, guess, 100, "ms") for name, guess in off_by.items()])
    [axes] = figure.axes
    asked = [label.get_text().splitlines()[0] for label in axes.get_yticklabels()]
    assert asked == ["00 · close", "00 · hundredfold", "00 · nothing"], "from the bottom up"
    low, high = axes.get_xlim()
    places = [line.get_xdata()[-1] for line in axes.get_lines()]
    assert all(low < place < high for place in places)
    assert figure.get_suptitle() == "3 guesses: 1 too small, 1 about right, 1 too large"
