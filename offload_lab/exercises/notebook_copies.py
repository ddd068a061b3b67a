"""A learner's copies of the notebooks: JupyterLab saves into them, and the repository's stay as they are."""

import os
from pathlib import Path

from offload_lab.paths import ROOT

from .workspace import work

UP = "](../"  # a link from a notebook to another folder of the repository


def copies(originals: Path) -> Path:
    """The folder with a copy of each notebook. A copy that is there is the learner's, and stays."""
    target = work() / "notebooks"
    target.mkdir(parents=True, exist_ok=True)
    for path in originals.glob("*.ipynb"):
        if not (copy := target / path.name).exists():
            copy.write_text(path.read_text().replace(UP, f"]({os.path.relpath(ROOT, target)}/"))
    return target
