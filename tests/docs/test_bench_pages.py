"""README.md, docs/comparison.md, docs/scaling.md and their pictures agree with the recordings."""

import re

import pytest

from bench import axes, pages, plan, recorder, report
from bench.records import has_numbers
from offload_lab.plots.timeline import save

TEXTS = re.compile("<text[^>]*>([^<]*)</text>")


@pytest.fixture(scope="module")
def runs():
    return pages.recorded()


@pytest.mark.parametrize("name", pages.PAGES)
def test_a_page_agrees_with_the_recordings(name, runs):
    text = (pages.ROOT / name).read_text()
    marks = [match[2].split() for match in pages.MARKED.finditer(text)]
    assert len(marks) == text.count("<!-- bench ")
    assert pages.renewed(text, runs) == text, "renew it with: ./lab bench --renew"


def test_the_last_column_of_the_readmes_table_can_be_computed_from_the_one_before():
    [block] = [match[0] for match in pages.MARKED.finditer((pages.ROOT / "README.md").read_text())]
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in block.splitlines() if line.startswith("|")]
    numbers = [(row[-2].replace(",", ""), row[-1]) for row in rows[2:] if row[-1]]
    assert len(numbers) > 10
    assert [times for _, times in numbers] == [report.number(float(cpu) / float(numbers[0][0])) for cpu, _ in numbers]


@pytest.mark.full
def test_the_pictures_agree_with_the_recordings(runs, tmp_path):
    drawn = dict(pages.pictures(runs))
    assert {path.stem.removeprefix("bench-") for path in drawn} == set(pages.PICTURES)
    for path, figure in drawn.items():
        again = save(figure, tmp_path / path.name)
        assert len(TEXTS.findall(path.read_text())) > 10
        assert f"<title>{axes.title_of(figure)}</title>" in path.read_text()
        assert TEXTS.findall(path.read_text()) == TEXTS.findall(again.read_text()), path.name


def test_a_block_of_a_plan_without_recording_names_its_command(runs):
    text = "<!-- bench most most -->\nold\n<!-- end -->"
    without = {name: run for name, run in runs.items() if name != "most"}
    assert "Not recorded yet: `./lab bench --most`." in pages.renewed(text, without)


@pytest.mark.parametrize("name", [*pages.PLANS, *pages.ALSO])
def test_a_recording_is_complete(name, runs):
    if name in pages.ALSO and name not in runs:
        return  # its blocks say so
    run = runs[name]
    assert run.about["plan"] == name
    rounds = {cell.round for cell, result in run.results.items() if has_numbers(result)}
    assert rounds == set(range(1, plan.PLANS[name].rounds + 1))
    assert all(has_numbers(result) or "missing" not in result for result in run.results.values())


def test_a_cell_that_was_not_tried_has_a_failed_smaller_one(runs):
    for cell, result in runs["full"].results.items():
        if "more were not tried" in result.get("failed", ""):
            assert recorder.hopeless(runs["full"], cell, plan.PLANS["full"].timing.open_within_s)
