"""What stands in the notebooks' files: their parts, cells, minutes and tasks."""

import json
import re
from pathlib import Path

from offload_lab.exercises import regions
from offload_lab.exercises.notebook_copies import copies
from offload_lab.paths import ROOT
from offload_lab.stages import manifest
from offload_lab.stages.lesson import load_lesson

from .conftest import NOTEBOOKS

OPENING = ["What you'll do", "What you'll learn", "What you need"]
RHYTHM = ["Guess", "Run", "See", "Read", "Break it", "Your turn"]
LAST = ROOT / "notebooks" / "09_guesses.ipynb"  # measures nothing
QUICK = ROOT / "notebooks" / "02_xsendfile.ipynb"
FOLDED = {"jupyter": {"source_hidden": True}}  # code that only measures and draws
CELL_COLUMNS = 92  # of JupyterLab at 1280 px, with the file browser open
LONGEST_CELL = 16  # lines
# long, and to be read or changed
READ = {"break-names", "read-knock-run", "turn-lines"}
YOUR_TURN = re.compile(r"%%your_turn (\w+) (\w+)\n(.*)", re.DOTALL)


def cells(path, kind):
    return [cell for cell in json.loads(path.read_text())["cells"] if cell["cell_type"] == kind]


def headings(path):
    text = "\n".join("".join(cell["source"]) for cell in cells(path, "markdown"))
    return re.findall(r"^## (.+)$", text, re.MULTILINE)


def test_there_are_notebooks():
    assert NOTEBOOKS


def test_the_file_holds_no_outputs_no_counts_and_no_machine(notebook):
    content = json.loads(notebook.read_text())
    assert [cell["outputs"] for cell in cells(notebook, "code") if cell["outputs"]] == []
    assert [cell["execution_count"] for cell in cells(notebook, "code") if cell["execution_count"]] == []
    assert all(cell["metadata"] in ({}, FOLDED) for cell in content["cells"])
    assert content["metadata"]["kernelspec"]["name"] == "python3"
    assert str(ROOT) not in notebook.read_text()
    assert str(Path.home()) not in notebook.read_text()


def test_every_cell_has_an_id_that_says_what_it_is(notebook):
    ids = [cell["id"] for cell in json.loads(notebook.read_text())["cells"]]
    assert len(set(ids)) == len(ids)
    assert all(re.fullmatch(r"[a-z]+(-[a-z]+)*", cell_id) for cell_id in ids)


def test_it_opens_with_what_you_do_learn_and_need(notebook):
    assert headings(notebook)[:3] == OPENING


def test_it_keeps_the_rhythm(notebook):
    rhythm = [heading for heading in RHYTHM if heading != "Break it" or notebook != LAST]
    assert [heading for heading in headings(notebook) if heading in RHYTHM] == rhythm


def test_the_guess_is_one_number_and_none_is_allowed(notebook):
    source = "\n".join("".join(cell["source"]) for cell in cells(notebook, "code"))
    assert len(re.findall(r"^guess\w* = None\b", source, re.MULTILINE)) == 1


def test_its_minutes_are_the_manifests(notebook):
    text = "\n".join("".join(cell["source"]) for cell in cells(notebook, "markdown"))
    minutes = {name: number for step in manifest.steps() for name, number in step.notebooks.items()}
    minutes[LAST.stem] = manifest.REVIEW_MINUTES
    if notebook.stem in minutes:
        assert re.findall(r"^- about (\S+) minutes", text, re.MULTILINE) == [str(minutes[notebook.stem])]


def test_every_notebook_of_a_manifest_is_there_and_03_has_two_of_thirty_minutes():
    names = {name for step in manifest.steps() for name in step.notebooks}
    assert names <= {path.stem for path in NOTEBOOKS}
    assert manifest.find("03").notebooks == {"03_sse_offload": 30, "03b_sse_offload": 30}


def test_break_it_has_at_most_three_parts(notebook):
    text = "\n".join("".join(cell["source"]) for cell in cells(notebook, "markdown"))
    broken = re.search(r"^## Break it$(.*?)(?=^## )", text, re.MULTILINE | re.DOTALL)
    assert broken is None or len(re.findall("^### ", broken[1], re.MULTILINE)) <= 3


def test_it_ends_with_what_to_copy_and_where(notebook):
    is_lesson = notebook.stem[:2] in ("01", "02", "03", "04", "05", "06", "07")
    assert ("What to copy, and where" in headings(notebook)[-2:]) == is_lesson


def test_code_that_nobody_has_to_read_is_folded(notebook):
    """And what a learner changes is not: a folded cell has no number of its own and no blank."""
    long = [cell for cell in cells(notebook, "code") if cell["id"] != "setup" and len(cell["source"]) > LONGEST_CELL]
    assert {cell["id"] for cell in long if cell["metadata"] != FOLDED} <= READ
    hidden = ["".join(cell["source"]) for cell in cells(notebook, "code") if cell["metadata"] == FOLDED]
    assert not [code for code in hidden if re.search(r"^\w+ = ([\d.]+|None)$|^%%", code, re.MULTILINE)]


def test_it_holds_no_server_code(notebook):
    source = "\n".join("".join(cell["source"]) for cell in cells(notebook, "code"))
    assert "start_response" not in source
    assert "import uwsgi" not in source


def test_no_cell_of_07_names_a_cause_beside_its_question():
    content = json.loads((ROOT / "notebooks" / "07_pitfalls.ipynb").read_text())
    text = "\n".join("".join(cell["source"]) for cell in content["cells"]).partition("## See")[0]
    pitfalls = [pitfall for pitfall, _ in load_lesson(manifest.find("07"), "notebook").CASES.values()]
    assert len(pitfalls) == 6
    assert [pitfall for pitfall in pitfalls if pitfall in text] == []


def turns(path):
    """Step, task and lines of each cell that holds a task."""
    return [match.groups() for cell in cells(path, "code") if (match := YOUR_TURN.match("".join(cell["source"])))]


def test_your_turn_is_a_task_of_the_step_and_its_cell_holds_the_blank(notebook):
    for step, task, lines in turns(notebook):
        assert regions.tidy(lines) == regions.tidy(manifest.find(step).task(task).blank)


def test_no_line_that_is_to_be_read_is_cut_off_in_its_cell(notebook):
    read = ["".join(cell["source"]) for cell in cells(notebook, "code") if cell["metadata"] != FOLDED]
    assert [line for code in read for line in code.splitlines() if len(line) > CELL_COLUMNS] == []


def test_every_step_with_tasks_has_one_in_its_notebook():
    with_tasks = [step for step in manifest.steps() if step.tasks]
    assert [step.name for step in with_tasks if not turns(ROOT / "notebooks" / f"{step.name}.ipynb")] == []


def test_a_learner_works_on_copies_whose_links_lead_to_files(monkeypatch, tmp_path):
    monkeypatch.setenv("LAB_WORK", str(tmp_path))
    folder = copies(ROOT / "notebooks").folder
    for copy in folder.glob("*.ipynb"):
        for link in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", copy.read_text()):
            assert (folder / link).exists(), f"{copy.name}: {link}"
    (folder / QUICK.name).write_text("mine")
    copies(ROOT / "notebooks")
    assert (folder / QUICK.name).read_text() == "mine"


def test_a_copy_is_renewed_unless_the_learner_edited_it(monkeypatch, tmp_path):
    monkeypatch.setenv("LAB_WORK", str(tmp_path / "work"))
    originals = tmp_path / "originals"
    originals.mkdir()

    def write(path, source, outputs=()):
        path.write_text(json.dumps({"cells": [{"source": [source], "outputs": list(outputs)}]}))

    for name in ("run.ipynb", "edited.ipynb", "same.ipynb"):
        write(originals / name, "guess = None")
    folder = copies(originals).folder
    write(folder / "run.ipynb", "guess = None", outputs=["42"])
    write(folder / "edited.ipynb", "guess = 5")
    for name in ("run.ipynb", "edited.ipynb"):
        write(originals / name, "guess_ms = None")
    made = copies(originals)
    assert (made.renewed, made.kept) == (("run.ipynb",), ("edited.ipynb",))
    assert "guess_ms = None" in (folder / "run.ipynb").read_text()
    assert "guess = 5" in (folder / "edited.ipynb").read_text()
    assert copies(originals).renewed == ()
