"""The field notes leave out no listing of the article, and name for each the stage and the tests that exist."""

import re

import pytest

from offload_lab.paths import ROOT

NOTES = ROOT / "docs" / "field-notes.md"
TEXT = NOTES.read_text()
LISTINGS = 22  # in the article: 18 in its text, the store's paragraph among them, and the 4 of its pitfalls
VERDICTS = {"works", "works with a change", "broken", "never safe"}

LINK = re.compile(r"\]\(([^)#\s]+)[^)\s]*\)")
WITNESS = re.compile(r"\[`(test_\w+\.py)::(test_\w+)`\]\(([^)]+)\)")
HEADING = re.compile(r"^### (\d+) · (.+): (.+)$", re.MULTILINE)


def sections():
    """(number, verdict, text) of each listing."""
    listings = TEXT.partition("## Listing by listing")[2].partition("\n## ")[0]
    _, *parts = HEADING.split(listings)
    return [(int(number), verdict, text) for number, _, verdict, text in zip(*[iter(parts)] * 4, strict=True)]


every_section = pytest.mark.parametrize("section", sections(), ids=lambda section: str(section[0]))


def test_every_listing_is_there_once_and_in_its_order():
    assert [number for number, _, _ in sections()] == list(range(1, LISTINGS + 1))


def test_the_table_says_what_the_sections_say():
    rows = re.findall(r"^\| ([a-z ]+) \| ([\d ]+) \|$", TEXT, re.MULTILINE)
    listed = [(int(number), verdict) for verdict, numbers in rows for number in numbers.split()]
    assert sorted(listed) == [(number, verdict) for number, verdict, _ in sections()]
    assert {verdict for _, verdict in listed} == VERDICTS


@every_section
def test_a_listing_has_what_to_do_a_stage_and_witnesses(section):
    text = section[2]
    before, *parts = re.split(r"^- \*\*(?:Do|Stage|Proved by):\*\*", text, flags=re.MULTILINE)
    assert before.strip()
    do, stage, proof = parts
    assert do.strip()
    assert any(target.startswith("../steps/") for target in LINK.findall(stage))
    assert WITNESS.search(proof)


def test_every_relative_link_has_a_target():
    targets = {target for target in LINK.findall(TEXT) if "://" not in target}
    assert targets
    assert [target for target in sorted(targets) if not (NOTES.parent / target).exists()] == []


@pytest.mark.parametrize("target", sorted({target for _, _, target in WITNESS.findall(TEXT)}))
def test_every_witness_stands_in_the_file_that_is_linked(target):
    source = (NOTES.parent / target).read_text()
    named = {(file, test) for file, test, linked in WITNESS.findall(TEXT) if linked == target}
    assert {file for file, _ in named} == {target.rpartition("/")[2]}
    there = set(re.findall(r"^(?:async )?def (test_\w+)", source, re.MULTILINE))
    assert {test for _, test in named} - there == set()


def test_no_test_is_named_without_a_link_to_it():
    assert re.findall(r"\btest_\w+", WITNESS.sub("", TEXT)) == []


def test_every_line_of_the_security_note_has_its_witness():
    rows = re.findall(r"^\| .+ \|$", TEXT.partition("## Security note")[2], re.MULTILINE)
    findings = [row for row in rows if not row.startswith("| what |")]
    assert findings
    assert [row for row in findings if not WITNESS.search(row)] == []
