"""step.toml read and checked: whatever is wrong in one, the error names the file and the mistake."""

import pytest

from offload_lab.errors import ManifestError, UnknownNameError
from offload_lab.stages import manifest
from offload_lab.stages.step import Variant

GOOD = """
title = "A slow download"
minutes = 5
path = "/file"
scenario = "download"
try = ["curl {url}/file"]

[variants.worker]
inis = ["worker.ini"]
says = "the worker sends it"

[variants.offload]
inis = ["backend.ini", "offload.ini"]
says = "an offload thread sends it"
demo = false
needs = ["route"]
reference = true
"""


@pytest.fixture
def write_manifest(tmp_path):
    """Write 01_file/step.toml, beside the INIs that GOOD names, and return its path."""

    def write(text=GOOD, name="01_file"):
        folder = tmp_path / name
        folder.mkdir()
        for ini in ("worker.ini", "backend.ini", "offload.ini"):
            (folder / ini).touch()
        path = folder / "step.toml"
        path.write_text(text)
        return path

    return write


def test_a_manifest_is_read_as_it_is_written(write_manifest):
    step = manifest.load(write_manifest())
    assert (step.name, step.number, step.title, step.minutes) == ("01_file", "01", "A slow download", 5)
    assert (step.path, step.scenario, step.try_it) == ("/file", "download", ("curl {url}/file",))
    assert step.variants == (
        Variant("worker", ("worker.ini",), "the worker sends it"),
        Variant("offload", ("backend.ini", "offload.ini"), "an offload thread sends it", False, ("route",), True),
    )


def test_what_to_try_may_be_missing(write_manifest):
    assert manifest.load(write_manifest(GOOD.replace("try =", "# try ="))).try_it == ()


@pytest.mark.parametrize("key", ["title", "minutes", "path", "scenario", "inis", "says", "variants"])
def test_a_missing_key_is_named(write_manifest, key):
    text = GOOD.partition("[variants")[0] if key == "variants" else GOOD.replace(f"{key} =", f"# {key} =")
    with pytest.raises(ManifestError, match=rf"01_file/step\.toml: .*'{key}'"):
        manifest.load(write_manifest(text))


def test_an_unknown_key_in_a_variant_is_named(write_manifest):
    with pytest.raises(ManifestError, match=r"01_file/step\.toml: .*'sayz'"):
        manifest.load(write_manifest(GOOD + "sayz = 1"))


def test_an_unknown_key_of_the_step_is_named(write_manifest):
    with pytest.raises(ManifestError, match="tri"):
        manifest.load(write_manifest(GOOD.replace("try =", "tri =")))


@pytest.mark.parametrize("variants", ["variants = []", 'variants = {worker = "worker.ini"}'])
def test_variants_of_the_wrong_shape_are_named(write_manifest, variants):
    with pytest.raises(ManifestError, match=r"01_file/step\.toml"):
        manifest.load(write_manifest(GOOD.partition("[variants")[0] + variants))


def test_broken_toml_is_named_with_its_line(write_manifest):
    with pytest.raises(ManifestError, match=r"01_file/step\.toml: TOMLDecodeError: .*line 2"):
        manifest.load(write_manifest(GOOD.replace('"A slow download"', '"A slow download')))


def test_a_file_that_is_no_text_is_named(write_manifest):
    path = write_manifest()
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(ManifestError, match=r"01_file/step\.toml: UnicodeDecodeError"):
        manifest.load(path)


def test_ini_files_that_are_missing_are_named(write_manifest):
    path = write_manifest()
    for name in ("backend.ini", "offload.ini"):
        path.with_name(name).unlink()
    with pytest.raises(ManifestError, match=r"01_file/step\.toml: no such INI file: backend\.ini, offload\.ini"):
        manifest.load(path)


def test_steps_come_in_the_order_of_their_names(write_manifest, tmp_path):
    for name in ("10_last", "02_second", "01_first"):
        write_manifest(name=name)
    (tmp_path / "notes").mkdir()
    assert [step.name for step in manifest.steps(tmp_path)] == ["01_first", "02_second", "10_last"]


@pytest.mark.parametrize("word", ["02_stream", "02", "2", "stream"])
def test_a_step_is_found_by_each_of_its_names(write_manifest, tmp_path, word):
    write_manifest(name="01_file")
    write_manifest(name="02_stream")
    assert manifest.find(word, tmp_path).name == "02_stream"


def test_an_unknown_step_is_answered_with_the_nearest(write_manifest, tmp_path):
    write_manifest(name="01_file")
    write_manifest(name="02_stream")
    with pytest.raises(UnknownNameError, match=r"^no step '01_fil'; did you mean 01_file\?$"):
        manifest.find("01_fil", tmp_path)


def test_a_step_that_is_near_to_none_is_answered_with_all(write_manifest, tmp_path):
    write_manifest(name="01_file")
    with pytest.raises(UnknownNameError, match="no step 'xyz'; there are: 01_file"):
        manifest.find("xyz", tmp_path)


def test_an_unknown_variant_is_answered_with_the_nearest(write_manifest):
    with pytest.raises(UnknownNameError, match=r"^01_file has no variant 'ofload'; did you mean offload\?$"):
        manifest.load(write_manifest()).variant("ofload")


def test_an_empty_folder_of_steps_says_so(tmp_path):
    with pytest.raises(UnknownNameError, match="there are: none"):
        manifest.find("01", tmp_path)


def test_the_default_variant_is_the_reference_else_the_last(write_manifest):
    assert (
        manifest.load(
            write_manifest(
                GOOD
                + GOOD[GOOD.index("[variants.worker]") : GOOD.index("[variants.offload]")].replace(
                    "variants.worker", "variants.late"
                )
            )
        )
        .variant(None)
        .name
        == "offload"
    )
    assert (
        manifest.load(write_manifest(GOOD.replace("reference = true", ""), "02_file")).variant(None).name == "offload"
    )


@pytest.mark.parametrize("variants", ["variants = {}", "[variants.worker]\ninis = []\nsays = ''"])
def test_a_step_without_anything_to_start_is_named(write_manifest, variants):
    with pytest.raises(ManifestError, match="needs at least one variant, each with at least one INI file"):
        manifest.load(write_manifest(GOOD.partition("[variants")[0] + variants))


def test_where_the_steps_are_is_asked_when_they_are_looked_for(write_manifest, tmp_path, monkeypatch):
    write_manifest()
    monkeypatch.setenv("LAB_STEPS", str(tmp_path))
    assert [step.name for step in manifest.steps()] == ["01_file"]
    monkeypatch.delenv("LAB_STEPS")
    assert manifest.find("01").name == "01_file_wrapper"
