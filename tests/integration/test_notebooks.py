"""The notebooks, run: whole from top to bottom, and nothing is left when their kernel is killed."""

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
from offload_lab.paths import ROOT
from offload_lab.process.polling import wait_for
from offload_lab.testing import chromium, jupyter_kernel, require_chromium, require_program
from offload_lab.timeouts import scaled

from .conftest import NOTEBOOKS
from .notebook_runs import execute, execute_cells, in_a_cell, printed
from .test_notebook_files import LAST, QUICK, cells

SHOWN = re.compile(r'^lab\.(show_code|show_diff|show_lines)\((\s*"[^)]+"),?\s*\)$', re.MULTILINE)
CELL_PX = 640  # an output has more of JupyterLab's window of 1280 px, with the file browser open
FIND_WIDE = """() => [...document.querySelectorAll(".cell")].filter(cell => {
    const right = cell.getBoundingClientRect().right + 1;
    const isWide = one => one.getBoundingClientRect().right > right
        || (one.clientWidth && one.scrollWidth > one.clientWidth + 1);
    return [...cell.querySelectorAll("*")].some(isWide);
}).map(cell => cell.innerText)"""


def wider_than_their_cell(content):
    """The texts of those HTML outputs that do not fit, measured in Chromium; none where there is no Chromium."""
    if not programs.find("chromium") or importlib.util.find_spec("playwright") is None:
        return []
    pages = [
        output["data"].get("text/html", "")
        for cell in content.cells
        for output in cell.get("outputs", [])
        if "data" in output
    ]
    shown = [page for page in pages if page and not page.startswith("<iframe")]
    with chromium() as browser:
        page = browser.new_page()
        page.set_content("".join(f'<div class="cell" style="width:{CELL_PX}px">{output}</div>' for output in shown))
        return page.evaluate(FIND_WIDE)


@pytest.mark.full
def test_tables_code_and_diffs_fit_their_cell(monkeypatch):
    """The same for what needs no kernel: all code and all differences that the notebooks show, and a wide table."""
    from rich.table import Table

    from offload_lab import notebook as lab
    from offload_lab.notebook import display

    require_chromium()
    outputs = []
    for module in (lab, display):
        monkeypatch.setattr(module, "show_bundle", lambda data, *_, **__: outputs.append({"data": data}))
    for path in NOTEBOOKS:
        source = "\n".join("".join(cell["source"]) for cell in cells(path, "code"))
        for call, arguments in SHOWN.findall(source):
            getattr(lab, call)(*ast.literal_eval(f"[{arguments}]"))
    causes = lab.lesson("07_pitfalls", "causes")
    for case in causes.EXPLANATIONS:
        causes.show_fix(case)
    table = Table("name", *(f"column {number}" for number in range(8)))
    table.add_row("response-route-if-not" * 4, *["a few words of text"] * 8)
    display.show_table(table)
    assert len(outputs) > 40
    assert wider_than_their_cell(SimpleNamespace(cells=[{"outputs": outputs}])) == []
    wide = {"data": {"text/html": f"<pre>{'x' * 200}</pre>"}}
    assert len(wider_than_their_cell(SimpleNamespace(cells=[{"outputs": [wide]}]))) == 1


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
    from nbformat.v4 import new_notebook

    see = 'lab.guess_and_see({}, 1500.0, "ms", "00_start", "how long?")\nlab.mechanism()'
    sources = ["from offload_lab import notebook as lab", see.format(None), see.format(5), see.format(None)]
    sources += ["lab.reveal()", see.format(None)]
    content = execute_cells(*sources)
    shown = [printed(new_notebook(cells=[cell])) for cell in content.cells]
    assert ["1500" in text for text in shown] == [False, False, True, False, False, True]
    assert "the table: hidden until you have answered" in shown[1]
    assert "offloaded_requests" in shown[2]


@pytest.mark.full
def test_a_case_of_07_names_no_cause_before_the_learner_does(jupyter):
    ids = ["setup", "first-symptom", "first-measure", "first-fix"]

    def output_for(cause):
        def edit(source):
            return source.replace("check_cause(cause", f"check_cause({cause}")

        return printed(execute(ROOT / "notebooks" / "07_pitfalls.ipynb", ids, edit))

    unanswered = output_for("None")
    assert "offload-threads" not in unanswered
    assert "Nothing was offloaded" not in unanswered
    assert "Write one of 1 to 4" in unanswered
    assert "'two' is none of the numbers above" in output_for("'two'")
    answered = output_for(2)
    assert "offload-threads" in answered
    assert "Nothing was offloaded" in answered


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


@pytest.mark.full
def test_a_cell_before_the_first_one_says_so(jupyter, monkeypatch):
    from nbclient.exceptions import CellExecutionError

    monkeypatch.setenv("PYTHONSTARTUP", str(FIRST_CELL))
    with pytest.raises(CellExecutionError) as caught:
        execute_cells("lab.lessons()")
    assert "run the first cell of this notebook first" in str(caught.value)
    assert "Traceback" not in str(caught.value)


@pytest.mark.full
def test_the_last_notebook_shows_each_first_guess_and_its_result(jupyter):
    guesses = [
        ("00_start", "a wait", 5, 1500.0, "ms"),
        ("00_start", "a wait", 1500, 1500.0, "ms"),
        ("02_xsendfile", "another wait", 1400, 1500.0, "ms"),
        ("05_uwsgi_api", "clients served", 9, 0, "clients"),
    ]
    names = ("notebook", "question", "guess", "measured", "unit")
    kept = jupyter / "results" / "guesses.jsonl"
    kept.parent.mkdir()
    kept.write_text("\n".join(["no guess", *(json.dumps(dict(zip(names, row, strict=True))) for row in guesses)]))
    content = execute(LAST, edit=lambda source: source.replace("guess_close = None", "guess_close = 3"))
    output = printed(content)
    assert "3 guesses are here" in output
    assert "01_file_wrapper.ipynb" in output, "which has none yet"
    assert "your guess was 300 times too small" in output
    assert "**Things that were counted**: 0 too small, 1 too large" in output
    assert (
        sum("image/png" in output.get("data", {}) for cell in content.cells for output in cell.get("outputs", ())) == 2
    )


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
    with jupyter_kernel(NOTEBOOKS[0].parent) as (manager, client):
        messages = []
        client.execute_interactive(HOLD_A_STAGE, timeout=scaled(60), output_hook=messages.append)
        *pids, run = "".join(message["content"].get("text", "") for message in messages).split()
        processes = [psutil.Process(int(pid)) for pid in pids]
        supervisors = [process.parent() for process in processes[:1]]
        assert len(processes) >= 2, "a master and its worker"
        assert Path(run).is_dir()
        os.kill(manager.provisioner.pid, signal.SIGKILL)
        wait_for(
            lambda: not any(process.is_running() for process in processes + supervisors), 30, "the end of every process"
        )
        wait_for(lambda: not Path(run).exists(), 10, "the end of the run folder")
