"""Executed copies of the notebooks, kept until the notebook, a step or the harness changes."""

import hashlib
import os
import re
from collections.abc import Callable
from pathlib import Path
from subprocess import DEVNULL
from tempfile import TemporaryDirectory
from typing import Any

import nbformat
from jupyter_client.manager import AsyncKernelManager
from nbclient import NotebookClient
from nbclient.exceptions import CellControlSignal, DeadKernelError

from offload_lab.errors import LabError
from offload_lab.paths import ROOT
from offload_lab.timeouts import scaled

RESULTS = ROOT / "results"
EXECUTED = RESULTS / "executed"
DEPENDS_ON = (ROOT / "steps", ROOT / "offload_lab")
CELL_TIMEOUT_S = 180
FIGURE_SCALE = "0.88"  # smaller figures with the same type: larger type, once they are as wide as a page or a slide
COLOURS = re.compile(r"\x1b\[[\d;]*m")  # of a traceback
FOR_THE_LEARNER = ("░", "█", "You made no guess")  # progress bars, and requests to type


class NotebookFailedError(LabError):
    """A cell of `notebook` ended with an error; `traceback` is the kernel's."""

    def __init__(self, notebook: Path, cell: str, traceback: str) -> None:
        super().__init__(notebook, cell, traceback)
        self.notebook, self.cell, self.traceback = notebook, cell, traceback

    def __str__(self) -> str:
        number = self.notebook.stem.partition("_")[0]
        return f"{self.notebook.name}, cell {self.cell}: {self.traceback}\nopen it with: ./lab notebook {number}"


def executed(notebook: Path, folder: Path = EXECUTED, progress: Callable[[float], None] = lambda share: None) -> Path:
    """The executed copy of `notebook` in `folder`, made now unless it is current. `progress` gets 0 to 1.

    Raises:
        NotebookFailedError: at the first cell that fails.
    """
    kept = folder / f"{notebook.stem}-{state(notebook)}.ipynb"
    if not kept.exists():
        content = run(notebook, progress)
        for old in folder.glob(f"{notebook.stem}-*.ipynb"):
            old.unlink()
        folder.mkdir(parents=True, exist_ok=True)
        nbformat.write(content, kept)
    return kept


def state(notebook: Path) -> str:
    """A digest of the notebook, the steps and the harness, without their tests."""
    files = [path for folder in DEPENDS_ON for path in sorted(folder.rglob("*")) if path.is_file() and matters(path)]
    digest = hashlib.sha256()
    for path in [notebook, *files]:
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()[:12]


def matters(path: Path) -> bool:
    parts = path.relative_to(ROOT).parts
    made = any(part.startswith(".") or part == "__pycache__" for part in parts)
    return not made and not path.name.startswith("test_") and "publish" not in parts


def run(notebook: Path, progress: Callable[[float], None]) -> Any:
    """The notebook after a run in a kernel of its own, which neither reads nor writes a learner's guesses.

    Raises:
        NotebookFailedError: at the first cell that fails.
    """
    content = nbformat.read(notebook, as_version=4)
    RESULTS.mkdir(exist_ok=True)
    with TemporaryDirectory(prefix="lab-") as temporary, TemporaryDirectory(dir=RESULTS) as results:
        variables = {
            "LAB_RESULTS": results,
            "LAB_FIGURE_SCALE": FIGURE_SCALE,
            "LAB_LIVE": "replay",
            "LAB_REVEAL": "1",
            "IPYTHONDIR": f"{temporary}/ipython",
        }
        kernel = AsyncKernelManager(transport="ipc", connection_file=f"{temporary}/kernel.json")
        client = NotebookClient(content, km=kernel, timeout=round(scaled(CELL_TIMEOUT_S)))
        client.resources = {"metadata": {"path": str(notebook.parent)}}
        with client.setup_kernel(cleanup_kc=True, env={**os.environ, **variables}, stderr=DEVNULL):
            for number, cell in enumerate(content.cells):
                progress(number / len(content.cells))
                try:
                    client.execute_cell(cell, number)
                except (CellControlSignal, DeadKernelError) as error:
                    raise NotebookFailedError(notebook, cell.id, COLOURS.sub("", str(error)).strip()) from error
    for cell in content.cells:
        if cell.cell_type == "code":
            cell.outputs = [output for output in cell.outputs if not is_for_the_learner(output)]
    return nbformat.reads(nbformat.writes(content).replace(f"results/{Path(results).name}", "results"), as_version=4)


def is_for_the_learner(output: Any) -> bool:
    data = output.get("data", {"text/plain": output.get("text", "")})
    return list(data) == ["text/plain"] and any(text in data["text/plain"] for text in FOR_THE_LEARNER)
