"""./lab book, slides: the course to read, and to show to a class."""

from importlib.util import find_spec
from pathlib import Path

import click

from offload_lab.errors import MissingDependencyError

from .console import out
from .needs import needs
from .progress import progress_bar
from .tools import NOTEBOOKS, find_notebook

NEEDED = ("furo", "ipykernel", "myst_nb", "nbclient", "sphinx_revealjs")


@click.command(epilog="Example: ./lab book --no-run")
@click.option("--no-run", is_flag=True, help="With the notebooks as they are, not executed: quick, for writers.")
def book(no_run: bool) -> None:
    """Make the book: all documents and the executed notebooks, as a site in results/book."""
    check_tools("book")
    from offload_lab.course.book import build

    notebooks = sorted(NOTEBOOKS.glob("*.ipynb"))
    show_address(build({path.name: path if no_run else executed(path) for path in notebooks}))


@click.command(epilog="Example: ./lab slides")
@click.argument("numbers", nargs=-1, metavar="[NUMBER]...")
def slides(numbers: tuple[str, ...]) -> None:
    """Make the talk's slides, or a handout of each notebook named (00 …), in results/slides.

    The talk has two decks, of 90 and of 210 minutes, with a demo script in the speaker's notes. A handout is a notebook
    with what it measured, to show or to print.
    """
    notebooks = [find_notebook(number) for number in numbers]
    check_tools("slides")
    from offload_lab.course import slides, talk

    decks = [slides.write(path.stem, executed(path)) for path in notebooks] or talk.write_all()
    for deck in decks:
        out.print(f"deck: {deck}", soft_wrap=True)
    out.print("\nkeys: arrows and space · [bold]S[/] the speaker's notes · F full screen · O all slides · ? the rest")
    show_address(decks[0])


def check_tools(command: str) -> None:
    """Install what `command` needs.

    Raises: MissingDependencyError where not everything can be imported then.
    """
    needs(command)
    if any(find_spec(module) is None for module in NEEDED):
        raise MissingDependencyError(
            "Sphinx or one of its parts", "the book and the slides", f"./lab install {command}"
        )


def executed(notebook: Path) -> Path:
    from offload_lab.course import run_notebooks as runs

    with progress_bar(notebook.stem) as progress:
        return runs.executed(notebook, progress=progress)


def show_address(page: Path) -> None:
    """Print the path and how to open it."""
    out.print(f"\nopen in a browser: [bold]{page}[/]", soft_wrap=True)
    folder = page.parent.relative_to(NOTEBOOKS.parent)
    out.print(f"or: python3 -m http.server --bind 127.0.0.1 --directory {folder}", soft_wrap=True)
