"""The notebooks: stripped as files, whole when run, and nothing is left when their kernel is killed."""

import ast
import importlib.util
import json
import os
import re
import signal
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest

from offload_lab import programs
from offload_lab.cli.tools import FIRST_CELL
from offload_lab.exercises import regions
from offload_lab.exercises.hints import answer_in
from offload_lab.exercises.notebook_copies import copies
from offload_lab.paths import ROOT
from offload_lab.process.polling import wait_for
from offload_lab.stages import manifest
from offload_lab.testing import require, require_program
from offload_lab.timeouts import scaled

NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
QUICK = ROOT / "notebooks" / "01_file_wrapper.ipynb"
OPENING = ["What you'll do", "What you'll learn", "What you need"]
RHYTHM = ["Guess", "Run", "See", "Read", "Break it", "Your turn"]
LAST = ROOT / "notebooks" / "09_guesses.ipynb"  # measures nothing
YOUR_TURN = re.compile(r"%%your_turn (\w+) (\w+)\n(.*)", re.DOTALL)
CELL_TIMEOUT_S = 90
ARGUMENTS = ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-background-networking"]
INSTALL = "./lab test, or: pip install -e '.[notebooks]'"


@pytest.fixture(params=NOTEBOOKS, ids=lambda path: path.stem)
def notebook(request):
    return request.param


@pytest.fixture
def jupyter(monkeypatch, tmp_path):
    """Jupyter is there, and what a run writes goes to `tmp_path` instead of the learner's own folders."""
    for module in ("nbclient", "ipykernel"):
        require(importlib.util.find_spec(module) is not None, module, INSTALL)
    monkeypatch.setenv("LAB_RESULTS", str(tmp_path / "results"))
    monkeypatch.setenv("LAB_WORK", str(tmp_path / "work"))
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    monkeypatch.setenv("JUPYTER_RUNTIME_DIR", str(tmp_path / "runtime"))
    return tmp_path


def execute(path, only=None, edit=lambda source: source):
    """The notebook at `path` after a run in a fresh kernel, in its own folder: the cells whose ids are in `only`, or
    all, each code cell put through `edit`."""
    import nbformat
    from nbclient import NotebookClient

    content = nbformat.read(path, as_version=4)
    content.cells = [cell for cell in content.cells if only is None or cell.id in only]
    for cell in content.cells:
        if cell.cell_type == "code":
            cell.source = edit(cell.source)
    resources = {"metadata": {"path": str(path.parent)}}
    return NotebookClient(content, timeout=round(scaled(CELL_TIMEOUT_S)), resources=resources).execute()


def cells(path, kind):
    return [cell for cell in json.loads(path.read_text())["cells"] if cell["cell_type"] == kind]


def headings(path):
    text = "\n".join("".join(cell["source"]) for cell in cells(path, "markdown"))
    return re.findall(r"^## (.+)$", text, re.MULTILINE)


def printed(content):
    """All text that the cells gave, the words that stand for pictures included."""
    outputs = [output for cell in content.cells for output in cell.get("outputs", [])]
    return "\n".join(output.get("text", "") or output.get("data", {}).get("text/plain", "") for output in outputs)


CELL_PX = 640  # an output has more of JupyterLab's window of 1280 px, with the file browser open
FIND_WIDE = """() => [...document.querySelectorAll(".cell")].filter(cell => {
    const right = cell.getBoundingClientRect().right + 1;
    const isWide = one => one.getBoundingClientRect().right > right
        || (one.clientWidth && one.scrollWidth > one.clientWidth + 1);
    return [...cell.querySelectorAll("*")].some(isWide);
}).map(cell => cell.innerText)"""


def wider_than_their_cell(content):
    """The texts of those HTML outputs that do not fit, measured in Chromium; none where there is no Chromium."""
    chromium = programs.find("chromium")
    if not chromium or importlib.util.find_spec("playwright") is None:
        return []
    from playwright.sync_api import sync_playwright

    pages = [
        output["data"].get("text/html", "")
        for cell in content.cells
        for output in cell.get("outputs", [])
        if "data" in output
    ]
    shown = [page for page in pages if page and not page.startswith("<iframe")]
    with (
        sync_playwright() as playwright,
        playwright.chromium.launch(executable_path=chromium, args=ARGUMENTS) as browser,
    ):
        page = browser.new_page()
        page.set_content("".join(f'<div class="cell" style="width:{CELL_PX}px">{one}</div>' for one in shown))
        return page.evaluate(FIND_WIDE)


@pytest.mark.full
def test_tables_code_and_diffs_fit_their_cell(monkeypatch):
    """The same for what needs no kernel: all code and all differences that the notebooks show, and a wide table."""
    from rich.table import Table

    from offload_lab import notebook as lab
    from offload_lab.notebook import display

    require_program("chromium")
    require(importlib.util.find_spec("playwright") is not None, "Playwright", "./lab install test")
    outputs = []
    for module in (lab, display):
        monkeypatch.setattr(module, "show_bundle", lambda data, *_, **__: outputs.append({"data": data}))
    for path in NOTEBOOKS:
        source = "\n".join("".join(cell["source"]) for cell in cells(path, "code"))
        for call, arguments in re.findall(r'^lab\.(show_code|show_diff)\(("[^)]+")\)$', source, re.MULTILINE):
            getattr(lab, call)(*ast.literal_eval(f"({arguments},)"))
    table = Table("name", *(f"column {number}" for number in range(8)))
    table.add_row("response-route-if-not" * 4, *["a few words of text"] * 8)
    display.show_table(table)
    assert len(outputs) > 40
    assert wider_than_their_cell(SimpleNamespace(cells=[{"outputs": outputs}])) == []
    wide = {"data": {"text/html": f"<pre>{'x' * 200}</pre>"}}
    assert len(wider_than_their_cell(SimpleNamespace(cells=[{"outputs": [wide]}]))) == 1


def test_there_are_notebooks():
    assert NOTEBOOKS


def test_the_file_holds_no_outputs_no_counts_and_no_machine(notebook):
    content = json.loads(notebook.read_text())
    assert [cell["outputs"] for cell in cells(notebook, "code") if cell["outputs"]] == []
    assert [cell["execution_count"] for cell in cells(notebook, "code") if cell["execution_count"]] == []
    assert all(cell["metadata"] == {} for cell in content["cells"])
    assert content["metadata"]["kernelspec"]["name"] == "python3"
    assert str(ROOT) not in notebook.read_text()
    assert str(Path.home()) not in notebook.read_text()


def test_every_cell_has_an_id_that_says_what_it_is(notebook):
    ids = [cell["id"] for cell in json.loads(notebook.read_text())["cells"]]
    assert len(set(ids)) == len(ids)
    assert all(re.fullmatch(r"[a-z]+(-[a-z]+)*", one) for one in ids)


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


def test_it_holds_no_server_code(notebook):
    source = "\n".join("".join(cell["source"]) for cell in cells(notebook, "code"))
    assert "start_response" not in source
    assert "import uwsgi" not in source


@pytest.mark.timeout(scaled(300))
@pytest.mark.parametrize(
    "notebook",
    [pytest.param(path, id=path.stem, marks=() if path == QUICK else pytest.mark.full) for path in NOTEBOOKS],
)
def test_it_runs_from_top_to_bottom(jupyter, notebook, monkeypatch):
    monkeypatch.setenv("LAB_REVEAL", "1")
    if notebook.stem.startswith(("06", "08")):
        require_program("redis-server")
    if notebook.stem.startswith("08"):
        require_program("nginx")
        require_program("openssl")
    content = execute(notebook)  # raises at the first cell that fails
    assert wider_than_their_cell(content) == []
    outputs = [output for cell in content.cells for output in cell.get("outputs", [])]
    assert not [output for output in outputs if output.output_type == "error"]
    assert not [output for output in outputs if output.get("name") == "stderr"]
    assert notebook == LAST or [output for output in outputs if "image/png" in output.get("data", {})]
    assert not (jupyter / "results" / "guesses.jsonl").exists(), "None is no guess"
    assert not (jupyter / "work").exists(), "a blank is no try"


@pytest.mark.full
@pytest.mark.parametrize(
    ("guess", "says"),
    [
        ("0.5", "times too small"),
        ("None", "You made no guess"),
        ('"three"', "'three' is no number"),
        ("-3", "-3 is below 0"),
    ],
    ids=["a number", "none", "a word", "below zero"],
)
def test_only_a_number_is_saved_as_a_guess(jupyter, guess, says):
    cell = f'lab.guess_and_see({guess}, 1500.0, "ms", "00_start", "how long?")'
    content = execute(NOTEBOOKS[0], ["setup", "see-guess"], lambda source: source if "try:" in source else cell)
    assert says in printed(content)
    kept = jupyter / "results" / "guesses.jsonl"
    rows = [json.loads(line) for line in kept.read_text().splitlines()] if kept.exists() else []
    assert [(row["notebook"], row["guess"], row["measured"], row["unit"]) for row in rows] == (
        [("00_start", 0.5, 1500.0, "ms")] if guess == "0.5" else []
    )


@pytest.mark.full
def test_no_guess_buys_no_answer_but_reveal_does(jupyter):
    from nbclient import NotebookClient
    from nbformat.v4 import new_code_cell, new_notebook

    see = 'lab.guess_and_see({}, 1500.0, "ms", "00_start", "how long?")\nlab.mechanism()'
    sources = ["from offload_lab import notebook as lab", see.format(None), see.format(5), see.format(None)]
    sources += ["lab.reveal()", see.format(None)]
    content = NotebookClient(new_notebook(cells=[new_code_cell(source) for source in sources])).execute()
    shown = [printed(new_notebook(cells=[cell])) for cell in content.cells]
    assert ["1500" in text for text in shown] == [False, False, True, False, False, True]
    assert "the table: hidden until you have answered" in shown[1]
    assert "offloaded_requests" in shown[2]


@pytest.mark.full
def test_a_case_of_07_names_no_cause_before_the_learner_does(jupyter):
    ids = ["setup", "first-symptom", "first-measure", "first-fix"]

    def said(cause):
        def edit(source):
            return source.replace("check_cause(cause", f"check_cause({cause}")

        return printed(execute(ROOT / "notebooks" / "07_pitfalls.ipynb", ids, edit))

    unanswered = said("None")
    assert "offload-threads" not in unanswered
    assert "Write one of 1 to 4" in unanswered
    assert "'two' is none of the numbers above" in said("'two'")
    assert "offload-threads" in said(2)


@pytest.mark.full
@pytest.mark.parametrize(
    ("source", "says"),
    [
        ("print(recordings)", "'recordings' is not defined. If a cell above makes it"),
        ("guess_ms = five", "a guess is a number"),
    ],
)
def test_a_cell_that_runs_too_early_says_so(jupyter, source, says):
    from nbclient.exceptions import CellExecutionError

    with pytest.raises(CellExecutionError) as caught:
        in_a_cell(source)
    assert says in str(caught.value)
    assert "Traceback" not in str(caught.value)


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


@pytest.mark.full
def test_a_cell_before_the_first_one_says_so(jupyter, monkeypatch):
    from nbclient import NotebookClient
    from nbclient.exceptions import CellExecutionError
    from nbformat.v4 import new_code_cell, new_notebook

    monkeypatch.setenv("PYTHONSTARTUP", str(FIRST_CELL))
    with pytest.raises(CellExecutionError) as caught:
        NotebookClient(new_notebook(cells=[new_code_cell("lab.lessons()")])).execute()
    assert "run the first cell of this notebook first" in str(caught.value)
    assert "Traceback" not in str(caught.value)


def turns(path):
    """Step, task and lines of each cell that holds a task."""
    return [match.groups() for cell in cells(path, "code") if (match := YOUR_TURN.match("".join(cell["source"])))]


def test_your_turn_is_a_task_of_the_step_and_its_cell_holds_the_blank(notebook):
    for step, task, lines in turns(notebook):
        assert regions.tidy(lines) == regions.tidy(manifest.find(step).task(task).blank)


def test_every_step_with_tasks_has_one_in_its_notebook():
    with_tasks = [step for step in manifest.steps() if step.tasks]
    assert [step.name for step in with_tasks if not turns(ROOT / "notebooks" / f"{step.name}.ipynb")] == []


ANSWER = answer_in(manifest.find("01").task("offload_threads").hints[-1])


def in_a_cell(source):
    """What a cell with this in it prints, in a fresh kernel."""
    return printed(execute(NOTEBOOKS[0], ["setup", "turn-lines"], lambda one: one if "try:" in one else source))


@pytest.mark.full
def test_your_turn_diagnoses_helps_and_counts_what_passes(jupyter):
    first, again, solved = (
        in_a_cell(f"%%your_turn 01 offload_threads\n{lines}") for lines in ("processes = 2", "processes = 2", ANSWER)
    )
    for said in (first, again):
        assert "expected an offload thread" in said
        assert "there are 2 workers" in said
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


@pytest.mark.full
def test_the_last_notebook_shows_each_first_guess_and_its_result(jupyter):
    guesses = [
        ("00_start", "a wait", 5, 1500.0, "ms"),
        ("00_start", "a wait", 1500, 1500.0, "ms"),
        ("02_xsendfile", "another wait", 1400, 1500.0, "ms"),
        ("05_uwsgi_api", "visitors served", 9, 0, "visitors"),
    ]
    names = ("notebook", "question", "guess", "measured", "unit")
    kept = jupyter / "results" / "guesses.jsonl"
    kept.parent.mkdir()
    kept.write_text("\n".join(["no guess", *(json.dumps(dict(zip(names, row, strict=True))) for row in guesses)]))
    content = execute(LAST, edit=lambda source: source.replace("guess_close = None", "guess_close = 3"))
    said = printed(content)
    assert "3 guesses are here" in said
    assert "01_file_wrapper.ipynb" in said, "which has none yet"
    assert "your guess was 300 times too small" in said
    assert "**Things that were counted**: 0 too small, 1 too large" in said
    assert (
        sum("image/png" in output.get("data", {}) for cell in content.cells for output in cell.get("outputs", ())) == 2
    )


SILENCE = "response-route-if-not = empty:${X_OFFLOAD} disableheaders:"


@pytest.mark.full
def test_without_the_harness_the_first_cell_prints_what_to_do(jupyter, notebook):
    from nbclient.exceptions import CellExecutionError

    with pytest.raises(CellExecutionError) as caught:
        execute(notebook, ["setup"], lambda source: f'import sys\nsys.modules["offload_lab"] = None\n{source}')
    assert "./lab notebook" in str(caught.value)
    assert "Traceback" not in str(caught.value)


@pytest.mark.full
def test_a_misspelt_option_is_named_without_a_traceback(jupyter):
    from nbclient.exceptions import CellExecutionError

    cell = 'with lab.Stage(lab.altered("01_file_wrapper", "naive", "ofload-threads = 1"), "naive"): pass'
    with pytest.raises(CellExecutionError) as caught:
        execute(NOTEBOOKS[0], ["setup", "see-guess"], lambda source: source if "try:" in source else cell)
    assert "ofload-threads" in str(caught.value)
    assert "Traceback" not in str(caught.value)


HOLD_A_STAGE = """
from offload_lab.stages.stage import Stage
stage = Stage("01_file_wrapper", "offload").__enter__()
print(*stage.front.pids(), stage.run)
"""


@pytest.mark.full
def test_a_killed_kernel_leaves_no_process_and_no_run_folder(jupyter):
    from jupyter_client.manager import start_new_kernel

    manager, client = start_new_kernel(cwd=str(ROOT / "notebooks"))
    try:
        said = []
        client.execute_interactive(HOLD_A_STAGE, timeout=scaled(60), output_hook=said.append)
        *pids, run = "".join(message["content"].get("text", "") for message in said).split()
        processes = [psutil.Process(int(pid)) for pid in pids]
        supervisors = [process.parent() for process in processes[:1]]
        assert len(processes) >= 2, "a master and its worker"
        assert Path(run).is_dir()
        os.kill(manager.provisioner.pid, signal.SIGKILL)
        wait_for(lambda: not any(one.is_running() for one in processes + supervisors), 30, "the end of every process")
        wait_for(lambda: not Path(run).exists(), 10, "the end of the run folder")
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)
        manager.cleanup_resources()


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
