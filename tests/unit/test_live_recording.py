"""What the live view saves: read again, refused where it is broken, drawn, and played."""

import json
import re

import pytest

from offload_lab.errors import LabError
from offload_lab.live.recording import LIMITS, LiveRecording
from offload_lab.plots.timeline import signature

from .live_looks import client, connection, frame_of, look


def recorded():
    side = {"message": "", "clients": {}, "done": 0, "wait_ms": 1.0, "waiting_s": 0.0}
    probe = {"number": 1, "sent": 0.5, "answered": 0.6, "status": 200}
    moments = [frame_of(look()), frame_of(look(connection(1, 11)), client(1)), frame_of(look())]
    frames = [
        {
            "n": at + 1,
            "at": float(at),
            "cost_percent": 1.0,
            "sides": [{**moment, **side, "probes": [probe] if at else []}],
        }
        for at, moment in enumerate(moments)
    ]
    about = {"step": "03_sse_offload", "title": "", "window_s": 30, "actions": [], **LIMITS}
    sides = [{"title": "03 header", "says": "</script><b>", "lines": [], "actions": {}}]
    return LiveRecording({**about, "sides": sides}, json.loads(json.dumps(frames)))


def test_what_was_saved_comes_back(tmp_path):
    recorded().save(tmp_path / "new" / "live.json")
    assert LiveRecording.load(tmp_path / "new" / "live.json") == recorded()


def test_a_recording_from_before_the_page_was_told_its_limits_gets_them(tmp_path):
    older = recorded()
    for name in LIMITS:
        del older.about[name]
    older.save(tmp_path / "live.json")
    assert LiveRecording.load(tmp_path / "live.json") == recorded()


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"live": 1, "about": {}, "frames": []}', '{"live": 99}'])
def test_a_file_that_is_no_recording_is_named(tmp_path, text):
    path = tmp_path / "live.json"
    path.write_text(text)
    with pytest.raises(LabError, match=r"live\.json"):
        LiveRecording.load(path)


def paths_in(data, *path):
    """Of everything in it: the container, and the key or index there."""
    for key, value in data.items() if isinstance(data, dict) else enumerate(data) if isinstance(data, list) else ():
        yield (*path, key)
        yield from paths_in(value, *path, key)


def test_whatever_is_broken_in_a_recording_is_refused_or_does_no_harm(tmp_path):
    whole = json.loads(json.dumps(recorded().to_json()))
    path = tmp_path / "live.json"
    refused = []
    for *way, last in paths_in(whole):
        for wrong in (None, "text", -1.5, [[]]):
            broken = json.loads(json.dumps(whole))
            place = broken
            for key in way:
                place = place[key]
            place[last] = wrong
            path.write_text(json.dumps(broken))
            try:
                LiveRecording.load(path).recordings()
            except LabError as error:
                refused.append(str(error))
    assert len(refused) > 300
    assert all("is no recording of a live view: " in line or "has schema" in line for line in refused)


@pytest.mark.parametrize(
    ("old", "new", "fault"),
    [
        ('"at":2.0', '"at":NaN', "NaN is no JSON"),
        ('"at":2.0', '"at":0.5', "its frames are not in the order of time"),
        ('"at":2.0', '"At":2.0', "frames[2].at is missing"),
        ('"busy":false', '"busy":7', "frames[0].sides[0].workers[0].busy is 7"),
        ('"sides":[{"title"', '"sides":[],"no":[{"title"', "it has no sides"),
    ],
)
def test_what_is_wrong_with_a_recording_is_said_with_its_place(tmp_path, old, new, fault):
    text = json.dumps(recorded().to_json(), separators=(",", ":"))
    assert old in text
    (tmp_path / "live.json").write_text(text.replace(old, new))
    with pytest.raises(LabError, match=re.escape(fault)):
        LiveRecording.load(tmp_path / "live.json")


def test_the_signature_picture_draws_it():
    [recording] = recorded().recordings()
    assert (recording.variant, recording.transfer.began, recording.transfer.count) == ("header", 1.0, 1)
    assert [probe.sent for probe in recording.bystanders] == [0.5]
    assert recording.samples[1].holder == {"pid": 10, "fd": None, "tid": 11}
    assert signature([recording]).axes


def test_the_page_holds_the_recording_and_nothing_of_it_is_markup():
    page = recorded().page()
    assert "</script><b>" not in page
    assert "\\u003c/script>\\u003cb>" in page
    assert 'src="' not in page
    assert 'href="' not in page
