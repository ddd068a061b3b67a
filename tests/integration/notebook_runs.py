"""Run a notebook, or a few of its cells, in a fresh kernel."""

from offload_lab.testing import kernel_connection
from offload_lab.timeouts import scaled

from .conftest import NOTEBOOKS

CELL_TIMEOUT_S = 90


def execute(path, only=None, edit=lambda source: source):
    """The notebook at `path` after a run in a fresh kernel, in its own folder: the cells whose ids are in `only`, or
    all, each code cell put through `edit`."""
    import nbformat

    content = nbformat.read(path, as_version=4)
    content.cells = [cell for cell in content.cells if only is None or cell.id in only]
    for cell in content.cells:
        if cell.cell_type == "code":
            cell.source = edit(cell.source)
    return executed(content, path.parent)


def execute_cells(*sources):
    """A new notebook of these cells after a run in a fresh kernel."""
    from nbformat.v4 import new_code_cell, new_notebook

    return executed(new_notebook(cells=[new_code_cell(source) for source in sources]), NOTEBOOKS[0].parent)


def executed(content, folder):
    from nbclient import NotebookClient
    from traitlets.config import Config

    resources = {"metadata": {"path": str(folder)}}
    with kernel_connection() as options:
        config = Config({"ConnectionFileMixin": options})
        return NotebookClient(
            content, config=config, timeout=round(scaled(CELL_TIMEOUT_S)), resources=resources
        ).execute()


def printed(content):
    """All text that the cells gave, the words that stand for pictures included."""
    outputs = [output for cell in content.cells for output in cell.get("outputs", [])]
    return "\n".join(output.get("text", "") or output.get("data", {}).get("text/plain", "") for output in outputs)


def in_a_cell(source):
    """What a cell with this in it prints, in a fresh kernel."""
    return printed(
        execute(
            NOTEBOOKS[0], ["setup", "turn-lines"], lambda cell_source: cell_source if "try:" in cell_source else source
        )
    )
