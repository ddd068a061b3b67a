"""The last cell of a notebook, your turn: what it says, hints at, counts and refuses."""

import json

import pytest

from offload_lab.exercises.hints import answer_in
from offload_lab.paths import ROOT
from offload_lab.stages import manifest

from .notebook_runs import execute, in_a_cell, printed

ANSWER = answer_in(manifest.find("01").task("offload_threads").hints[-1])


@pytest.mark.full
def test_your_turn_diagnoses_helps_and_counts_what_passes(jupyter):
    first, again, solved = (
        in_a_cell(f"%%your_turn 01 offload_threads\n{lines}") for lines in ("processes = 2", "processes = 2", ANSWER)
    )
    for output in (first, again):
        assert "expected an offload thread" in output
        assert "there are 2 workers" in output
    assert ("Hint" in first, "Hint 1 of 3" in again) == (False, True)
    assert "Passed." in solved
    way = json.loads((jupyter / "work" / ".progress.json").read_text())["01_file_wrapper"]["offload_threads"]
    assert (way["tries"], way["hints"], bool(way["passed"])) == (3, 1, True)


@pytest.mark.full
def test_your_turn_names_a_syntax_error_and_does_not_count_it(jupyter):
    from nbclient.exceptions import CellExecutionError

    with pytest.raises(CellExecutionError) as caught:
        in_a_cell("%%your_turn 01 file_wrapper\nreturn (\nBIG")
    assert "line 1 of yours" in str(caught.value)
    assert "Traceback" not in str(caught.value)
    assert not (jupyter / "work").exists()


SILENCE = "response-route-if-not = empty:${X_OFFLOAD} disableheaders:"


HAND_OVER_07 = "response-route-if-not = empty:${X_OFFLOAD} uwsgi:%(run)/sse.sock,0,0"


@pytest.mark.full
@pytest.mark.parametrize(
    ("lines", "verdict"),
    [([HAND_OVER_07], "Not yet. Of two sets"), ([SILENCE, HAND_OVER_07], "Passed")],
    ids=["two sets of headers", "the fix"],
)
def test_your_turn_in_07_refuses_half_of_the_fix(jupyter, lines, verdict):
    def solve(source):
        if not source.startswith("lines = ["):
            return source
        rest = source.partition("\n]\n")[2]
        return f"lesson = lab.lesson('07_pitfalls')\nlines = {lines}\n{rest}"

    content = execute(ROOT / "notebooks" / "07_pitfalls.ipynb", ["setup", "turn-lines"], solve)
    assert verdict in printed(content)
