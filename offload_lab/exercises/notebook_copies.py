"""A learner's copies of the notebooks: JupyterLab saves into them, and the repository's stay as they are."""

import hashlib
import json
import os
from dataclasses import dataclass
from pathlib import Path

from offload_lab.paths import ROOT

from .workspace import work

UP = "](../"  # a link from a notebook to another folder of the repository
RECORD = ".copied.json"  # a digest of each notebook as it was when it was copied, by its name


@dataclass(frozen=True)
class Copies:
    """The folder with them. Names of notebooks that are newer in the repository: `renewed` were copied again, `kept`
    have the learner's changes and stay."""

    folder: Path
    renewed: tuple[str, ...]
    kept: tuple[str, ...]


def copies(originals: Path) -> Copies:
    """Copy each notebook that is not there yet, or is newer and was not edited. What was edited is the learner's."""
    target = work() / "notebooks"
    target.mkdir(parents=True, exist_ok=True)
    record = target / RECORD
    copied: dict[str, str] = json.loads(record.read_text()) if record.exists() else {}
    renewed, kept = [], []
    for path in sorted(originals.glob("*.ipynb")):
        text, copy = path.read_text().replace(UP, f"]({os.path.relpath(ROOT, target)}/"), target / path.name
        current = digest(text)
        if copy.exists():
            theirs, before = digest(copy.read_text()), copied.get(path.name)
            if theirs == current or before == current:
                continue
            if theirs != before:
                kept.append(path.name)
                continue
            renewed.append(path.name)
        copy.write_text(text)
        copied[path.name] = current
    record.write_text(json.dumps(copied, indent=1))
    return Copies(target, tuple(renewed), tuple(kept))


def digest(text: str) -> str:
    """Of what the cells say: a run, which only adds outputs, is no change. Of all the text where it is no notebook."""
    try:
        content = json.dumps(["".join(cell["source"]) for cell in json.loads(text)["cells"]])
    except (ValueError, KeyError, TypeError):
        content = text
    return hashlib.sha256(content.encode()).hexdigest()
