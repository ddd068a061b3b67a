"""A recording is a file that outlives the run: it comes back as it was, or the error says which file and what to do."""

import json

import pytest

from offload_lab.clients import Probe
from offload_lab.errors import LabError
from offload_lab.measure.model import SCHEMA, Recording, Sample, Transfer


def a_recording():
    worker = {"pid": 11, "front": True, "busy": True, "requests": 3, "offloaded": 1}
    return Recording(
        step="01_file_wrapper",
        variant="offload",
        says="the conveyor belt carries it, “quickly”",
        reference=True,
        engine="wheel 2.0.30",
        machine="Linux x86_64, 2 cores",
        taken="2026-01-01T00:00:00+00:00",
        memory_is="PSS",
        transfer=Transfer("/file", 8.0, 0.5, 3.5, 3.7, 64.0),
        bystanders=[Probe(0.6, 0.601, 11), Probe(0.7, None, 0, "timed out")],
        samples=[
            Sample(0.5, [worker], {"10": 4.25, "11": 6.5}, {"pid": 11, "fd": 9, "tid": None}),
            Sample(0.6, [], {}, None, gap="Connection refused"),
        ],
    )


@pytest.fixture
def saved(tmp_path):
    path = tmp_path / "new folder" / "offload.json"
    a_recording().save(path)
    return path


def test_what_was_saved_comes_back_equal(saved):
    assert Recording.load(saved) == a_recording()


def test_a_recording_from_before_gaps_were_marked_can_be_read(saved):
    data = json.loads(saved.read_text())
    for row in data["samples"]:
        del row["gap"]
    saved.write_text(json.dumps(data))
    assert [sample.gap for sample in Recording.load(saved).samples] == ["", ""]


def test_the_same_recording_is_the_same_file(saved, tmp_path):
    Recording.load(saved).save(tmp_path / "again.json")
    assert (tmp_path / "again.json").read_bytes() == saved.read_bytes()


def test_another_schema_is_refused_with_both_numbers(saved):
    saved.write_text(json.dumps(json.loads(saved.read_text()) | {"schema": SCHEMA + 1}))
    with pytest.raises(LabError, match=rf"offload\.json has schema {SCHEMA + 1}, .* reads {SCHEMA}; record it again"):
        Recording.load(saved)


BROKEN = {
    "empty": lambda text: "",
    "truncated": lambda text: text[: len(text) // 2],
    "no JSON": lambda text: "a picture, perhaps",
    "a list": lambda text: f"[{text}]",
    "a number": lambda text: "1",
    "no schema": lambda text: text.replace('"schema"', '"scheme"'),
    "an unknown key": lambda text: text.replace('"variant"', '"variety"'),
    "no transfer": lambda text: json.dumps(json.loads(text) | {"transfer": None}),
    "an unknown key in a bystander": lambda text: text.replace('"answered"', '"replied"'),
    "a sample without a time": lambda text: text.replace('"at"', '"when"'),
}


@pytest.mark.parametrize("damage", BROKEN)
def test_a_broken_file_is_named_and_so_is_the_cure(saved, damage):
    saved.write_text(BROKEN[damage](saved.read_text()))
    with pytest.raises(LabError, match=r"offload\.json is no recording: .*; make one with \./lab demo"):
        Recording.load(saved)


def test_a_file_that_is_no_text_is_named(saved):
    saved.write_bytes(b"\x89PNG\r\n\xff\xfe")
    with pytest.raises(LabError, match=r"offload\.json is no recording"):
        Recording.load(saved)


def test_a_missing_file_is_named_and_so_is_the_cure(tmp_path):
    with pytest.raises(LabError, match=r"nowhere\.json is no recording: FileNotFoundError.*\./lab demo"):
        Recording.load(tmp_path / "nowhere.json")
