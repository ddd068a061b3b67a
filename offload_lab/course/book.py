"""The book: every document and every notebook as one static site, built by Sphinx with broken references as errors."""

import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from string import Template
from tempfile import TemporaryDirectory

import nbformat

from offload_lab.errors import LabError
from offload_lab.paths import ROOT

from .book_pages import readable

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
    (tree / "notebooks").mkdir()
    for name, path in notebooks.items():
        nbformat.write(readable(nbformat.read(path, as_version=4)), tree / "notebooks" / name)
    write_first_page(tree)


def write_first_page(tree: Path) -> None:
    """With contents in which a number and a title name each page, and no two pages alike."""
    notebooks = sorted((tree / "notebooks").glob("*.ipynb"))
    lines = {
        "notebooks": [
            f"{path.stem.partition('_')[0]} · {title_of(path)} <notebooks/{path.stem}>" for path in notebooks
        ],
        "steps": [
            f"Files of {path.name} <steps/{path.name}/README>" for path in sorted((tree / "steps").glob("[0-9]*"))
        ],
    }
    page = Template((SETTINGS / "index.md").read_text(encoding="utf-8"))
    (tree / "index.md").write_text(page.substitute({name: "\n".join(rows) for name, rows in lines.items()}), "utf-8")


def title_of(notebook: Path) -> str:
    first = nbformat.read(notebook, as_version=4).cells[0].source
    return str(first).splitlines()[0].lstrip("# ")
