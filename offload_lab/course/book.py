"""The book: every document and every notebook as one static site, built by Sphinx with broken references as errors."""

import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

import nbformat

from offload_lab.errors import LabError
from offload_lab.paths import ROOT

BOOK = ROOT / "results" / "book"
SETTINGS = ROOT / "docs" / "book"
NOT_IN_IT = (".*", "__pycache__", "*.egg-info", "results", "work", "dist", "notebooks", "*.lock")


class BookError(LabError):
    """Sphinx found something wrong, and has said what."""


def build(notebooks: Mapping[str, Path], into: Path = BOOK) -> Path:
    """Make the site in `into` and give its first page. `notebooks` are the files to show, by their names.

    Raises BookError with Sphinx's words: for a link that leads nowhere, a page that nothing leads to.
    """
    with TemporaryDirectory(prefix="lab-book-") as scratch:
        tree, site = Path(scratch, "tree"), Path(scratch, "build", "site")  # one deep: myst-nb writes beside the site
        lay(tree, notebooks)
        how = ["--quiet", "--fail-on-warning", "--keep-going", "--jobs", "auto", "-c", str(SETTINGS)]
        command = [sys.executable, "-m", "sphinx", *how, "-d", f"{scratch}/doctrees", str(tree), str(site)]
        answer = subprocess.run(command, capture_output=True, text=True)
        if answer.returncode:
            said = (answer.stderr or answer.stdout).replace(f"{tree}/", "").strip()
            raise BookError(f"the book has faults:\n{said}")
        shutil.rmtree(into, ignore_errors=True)
        shutil.move(site, into)
    return into / "index.html"


def lay(tree: Path, notebooks: Mapping[str, Path]) -> None:
    """All documents and what they link to, where they lie in the repository; the notebooks; a first page."""
    shutil.copytree(ROOT, tree, ignore=shutil.ignore_patterns(*NOT_IN_IT))
    shutil.copy(SETTINGS / "index.md", tree / "index.md")
    (tree / "notebooks").mkdir()
    for name, path in notebooks.items():
        content = nbformat.read(path, as_version=4)
        content.cells = [cell for cell in content.cells if cell.id != "setup"]  # for those who run it
        nbformat.write(content, tree / "notebooks" / name)
