"""step.toml read and checked: whatever is wrong in one, the error names the file and the mistake."""

import pytest

from offload_lab.errors import ManifestError, UnknownNameError
from offload_lab.stages import manifest

GOOD = """
title = "A ticket hall"
minutes = 5
path = "/file"
scenario = "download"
try = ["curl {url}/file"]

[variants.clerk]
inis = ["clerk.ini"]
says = "the clerk carries it"

[variants.belt]
inis = ["back.ini", "belt.ini"]
says = "the belt carries it"
demo = false
needs = ["route"]
reference = true
"""


@pytest.fixture
def hall(tmp_path):
    """Write 01_hall/step.toml, beside the INIs that GOOD names, and return its path."""

    def write(text=GOOD, name="01_hall"):
        folder = tmp_path / name
        folder.mkdir()
        for ini in ("clerk.ini", "back.ini", "belt.ini"):
            (folder / ini).touch()
        path = folder / "step.toml"
        path.write_text(text)
        return path

    return write


def test_a_manifest_is_read_as_it_is_written(hall):
    step = manifest.load(hall())
    assert (step.name, step.number, step.title, step.minutes) == ("01_hall", "01", "A ticket hall", 5)
    assert (step.path, step.scenario, step.try_it) == ("/file", "download", ("curl {url}/file",))
    assert step.variants == (
        manifest.Variant("clerk", ("clerk.ini",), "the clerk carries it"),
        manifest.Variant("belt", ("back.ini", "belt.ini"), "the belt carries it", False, ("route",), True),
    )


def test_what_to_try_may_be_missing(hall):
    assert manifest.load(hall(GOOD.replace("try =", "# try ="))).try_it == ()


@pytest.mark.parametrize("key", ["title", "minutes", "path", "scenario", "inis", "says", "variants"])
def test_a_missing_key_is_named(hall, key):
    text = GOOD.partition("[variants")[0] if key == "variants" else GOOD.replace(f"{key} =", f"# {key} =")
    with pytest.raises(ManifestError, match=rf"01_hall/step\.toml: .*'{key}'"):
        manifest.load(hall(text))


def test_an_unknown_key_in_a_variant_is_named(hall):
    with pytest.raises(ManifestError, match=r"01_hall/step\.toml: .*'sayz'"):
        manifest.load(hall(GOOD + "sayz = 1"))


def test_an_unknown_key_of_the_step_is_named(hall):
    with pytest.raises(ManifestError, match="tri"):
        manifest.load(hall(GOOD.replace("try =", "tri =")))


@pytest.mark.parametrize("variants", ["variants = []", 'variants = {clerk = "clerk.ini"}'])
def test_variants_of_the_wrong_shape_are_named(hall, variants):
    with pytest.raises(ManifestError, match=r"01_hall/step\.toml"):
        manifest.load(hall(GOOD.partition("[variants")[0] + variants))


def test_broken_toml_is_named_with_its_line(hall):
    with pytest.raises(ManifestError, match=r"01_hall/step\.toml: TOMLDecodeError: .*line 2"):
        manifest.load(hall(GOOD.replace('"A ticket hall"', '"A ticket hall')))


def test_a_file_that_is_no_text_is_named(hall):
    path = hall()
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(ManifestError, match=r"01_hall/step\.toml: UnicodeDecodeError"):
        manifest.load(path)


def test_ini_files_that_are_missing_are_named(hall):
    path = hall()
    for name in ("back.ini", "belt.ini"):
        path.with_name(name).unlink()
    with pytest.raises(ManifestError, match=r"01_hall/step\.toml: no such INI file: back\.ini, belt\.ini"):
        manifest.load(path)


def test_steps_come_in_the_order_of_their_names(hall, tmp_path):
    for name in ("10_last", "02_second", "01_first"):
        hall(name=name)
    (tmp_path / "notes").mkdir()
    assert [step.name for step in manifest.steps(tmp_path)] == ["01_first", "02_second", "10_last"]


@pytest.mark.parametrize("word", ["02_desk", "02", "2", "desk"])
def test_a_step_is_found_by_each_of_its_names(hall, tmp_path, word):
    hall(name="01_hall")
    hall(name="02_desk")
    assert manifest.find(word, tmp_path).name == "02_desk"


def test_an_unknown_step_is_answered_with_the_nearest(hall, tmp_path):
    hall(name="01_hall")
    hall(name="02_desk")
    with pytest.raises(UnknownNameError, match=r"^no step '01_hal'; did you mean 01_hall\?$"):
        manifest.find("01_hal", tmp_path)


def test_a_step_that_is_near_to_none_is_answered_with_all(hall, tmp_path):
    hall(name="01_hall")
    with pytest.raises(UnknownNameError, match="no step 'xyz'; there are: 01_hall"):
        manifest.find("xyz", tmp_path)


def test_an_unknown_variant_is_answered_with_the_nearest(hall):
    with pytest.raises(UnknownNameError, match=r"^01_hall has no variant 'bolt'; did you mean belt\?$"):
        manifest.load(hall()).variant("bolt")


def test_an_empty_folder_of_steps_says_so(tmp_path):
    with pytest.raises(UnknownNameError, match="there are: none"):
        manifest.find("01", tmp_path)


def test_the_default_variant_is_the_reference_else_the_last(hall):
    assert (
        manifest.load(
            hall(
                GOOD
                + GOOD[GOOD.index("[variants.clerk]") : GOOD.index("[variants.belt]")].replace(
                    "variants.clerk", "variants.late"
                )
            )
        )
        .variant(None)
        .name
        == "belt"
    )
    assert manifest.load(hall(GOOD.replace("reference = true", ""), "02_hall")).variant(None).name == "belt"


@pytest.mark.parametrize("variants", ["variants = {}", "[variants.clerk]\ninis = []\nsays = ''"])
def test_a_step_without_anything_to_start_is_named(hall, variants):
    with pytest.raises(ManifestError, match="needs at least one variant, each with at least one INI file"):
        manifest.load(hall(GOOD.partition("[variants")[0] + variants))


def test_where_the_steps_are_is_asked_when_they_are_looked_for(hall, tmp_path, monkeypatch):
    hall()
    monkeypatch.setenv("LAB_STEPS", str(tmp_path))
    assert [step.name for step in manifest.steps()] == ["01_hall"]
    monkeypatch.delenv("LAB_STEPS")
    assert manifest.find("01").name == "01_file_wrapper"
