"""The marked lines of a file that a learner fills in: found, filled, read again."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from offload_lab.errors import (
    RegionError,
)
from offload_lab.exercises import regions

INI = """\
[uwsgi]
; >>> offload_threads
; carries what needs no Python
offload-threads = 1
; <<<
master = true
"""
APP = """\
def application(environ, start_response):
    # >>> answer
    start_response("200 OK", [])
    if environ:
        return [b"pong"]
    # <<<
"""


# --- marks


def test_a_region_is_read_without_its_indentation():
    assert regions.body(INI, "offload_threads") == "; carries what needs no Python\noffload-threads = 1"
    assert regions.body(APP, "answer") == 'start_response("200 OK", [])\nif environ:\n    return [b"pong"]'


def test_a_region_is_filled_at_its_own_indentation():
    filled = regions.fill(APP, {"answer": "\n# TODO: an answer\nif environ:\n    return []\n\n"})
    assert filled.splitlines()[1:-1] == [
        "    # >>> answer",
        "    # TODO: an answer",
        "    if environ:",
        "        return []",
    ]


def test_without_its_markers_a_file_is_as_it_was():
    assert regions.unmarked(INI) == INI.replace("; >>> offload_threads\n", "").replace("; <<<\n", "")
    assert regions.unmarked("print('>>> no marker')\n") == "print('>>> no marker')\n"


lines_of_code = st.lists(st.from_regex(r"[a-z =\[\]]{0,20}", fullmatch=True)).map("\n".join)


@given(lines_of_code)
def test_what_was_filled_in_is_read_again_and_the_rest_stays(lines):
    filled = regions.fill(APP, {"answer": lines})
    assert regions.body(filled, "answer") == regions.tidy(lines)
    assert regions.fill(filled, {"answer": regions.body(APP, "answer")}) == APP


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (("; <<<\n", ""), "line 2: the line '<<<' that belongs to '>>> offload_threads' is gone"),
        (("; >>> offload_threads\n", ""), "line 4: the line '>>> …' that belongs to this '<<<' is gone"),
        (("; <<<\n", "; >>> more\n; <<<\n"), "line 5: '>>> more' comes before the '<<<' of '>>> offload_threads'"),
        (("master = true\n", "; >>> offload_threads\n; <<<\n"), "line 6: there is a second '>>> offload_threads'"),
    ],
)
def test_a_broken_marker_is_named_with_its_line(change, says):
    with pytest.raises(RegionError, match=says.replace(">", r"\>")):
        regions.regions(INI.replace(*change))


def test_a_region_that_is_not_there_is_named():
    with pytest.raises(RegionError, match="the lines '>>> gate' and '<<<' are gone"):
        regions.body(INI, "gate")
