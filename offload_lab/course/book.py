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
    """Sphinx reported a warning or an error; the message has its output."""


def build(notebooks: Mapping[str, Path], into: Path = BOOK) -> Path:
    """Make the site in `into`, with the files `notebooks` by their names. Returns the first page.

    Raises:
        BookError: for example a broken link, or a page that no other links to.
    """
    with TemporaryDirectory(prefix="lab-book-") as temporary:
        tree, site = (
            Path(temporary, "tree"),
            Path(temporary, "build", "site"),
        )  # one deep: myst-nb writes beside the site
        copy_documents(tree, notebooks)
        flags = ["--quiet", "--fail-on-warning", "--keep-going", "--jobs", "auto", "-c", str(SETTINGS)]
        command = [sys.executable, "-m", "sphinx", *flags, "-d", f"{temporary}/doctrees", str(tree), str(site)]
        answer = subprocess.run(command, capture_output=True, text=True)
        if answer.returncode:
            output = (answer.stderr or answer.stdout).replace(f"{tree}/", "").strip()
            raise BookError(f"the book has errors:\n{output}")
        shutil.rmtree(into, ignore_errors=True)
        shutil.move(site, into)
    return into / "index.html"


def copy_documents(tree: Path, notebooks: Mapping[str, Path]) -> None:
    """Copy all documents and what they link to, as they are in the repository, the notebooks, and a first page."""
    shutil.copytree(ROOT, tree, ignore=shutil.ignore_patterns(*NOT_IN_IT))
    shutil.copy(SETTINGS / "index.md", tree / "index.md")
    (tree / "notebooks").mkdir()
    for name, path in notebooks.items():
        content = nbformat.read(path, as_version=4)
        content.cells = [cell for cell in content.cells if cell.id != "setup"]  # for those who run it
        nbformat.write(content, tree / "notebooks" / name)
