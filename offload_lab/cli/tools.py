"""./lab test, notebook, engine: other programs, started in the right place."""

import importlib.util
import os
import sys
from pathlib import Path

import click

from offload_lab.errors import MissingDependencyError, UnknownNameError
from offload_lab.paths import ROOT
from offload_lab.stages.manifest import nearest

from .needs import needs

NOTEBOOKS = ROOT / "notebooks"
# else JupyterLab's first words are a question about its own news, and it looks for newer versions of itself
NO_NEWS = f"--LabApp.app_settings_dir={Path(__file__).with_name('jupyterlab')}"
SIDE_BY_SIDE = ("--numprocesses=3", "--dist=loadscope")  # see conftest.py; the tests mostly wait for processes
QUICK = ("-m", "not full", "--durations=10", "--durations-min=5")  # names what might rather be marked full


@click.command(context_settings={"ignore_unknown_options": True, "help_option_names": []})
@click.option("--full", is_flag=True, help="Everything; without it, what takes three minutes.")
@click.argument("pytest_args", nargs=-1, type=click.UNPROCESSED)
def test(full: bool, pytest_args: tuple[str, ...]) -> None:
    """Run the quick tests, with --full all of them; further words go to pytest, which then runs all that they name."""
    needs("test")
    os.chdir(ROOT)
    words = pytest_words(full, pytest_args, side_by_side=importlib.util.find_spec("xdist") is not None)
    os.execv(sys.executable, [sys.executable, "-m", "pytest", *words])  # noqa: S606 (no shell: that is the point)


def pytest_words(full: bool, named: tuple[str, ...], side_by_side: bool) -> tuple[str, ...]:
    """The words for pytest. What was named runs whole, in one process that is easier to read, unless `full` is said."""
    if named and not full:
        return named
    return (*(SIDE_BY_SIDE if side_by_side else ()), *(() if full else QUICK), *named)


@click.command(context_settings={"ignore_unknown_options": True, "help_option_names": []})
@click.argument("words", nargs=-1, type=click.UNPROCESSED)
def engine(words: tuple[str, ...]) -> None:
    """Build the uWSGI on which uwsgi.route() works, once (--force: again)."""
    build = str(ROOT / "uwsgi_build" / "build.py")
    os.execv(sys.executable, [sys.executable, build, *words])  # noqa: S606


@click.command()
@click.argument("number", default="00")
def notebook(number: str) -> None:
    """Open JupyterLab on notebook NUMBER (00, where it starts)."""
    path = find_notebook(number)
    needs("notebook")
    if importlib.util.find_spec("jupyterlab") is None:
        raise MissingDependencyError("JupyterLab", "the notebooks", "./lab install notebook")
    os.chdir(NOTEBOOKS)
    root = ["--allow-root"] if os.geteuid() == 0 else []  # in a container; it listens on the loopback only
    words = ["-m", "jupyterlab", "--ip=127.0.0.1", NO_NEWS, *root, path.name]
    os.execv(sys.executable, [sys.executable, *words])  # noqa: S606


def find_notebook(number: str) -> Path:
    """The notebook that `number` (``3`` or ``03``) begins. Raises UnknownNameError with the nearest match."""
    names = sorted(path.name for path in NOTEBOOKS.glob("*.ipynb"))
    name = next((name for name in names if name.startswith(number.zfill(2))), None)
    if name is None:
        raise UnknownNameError("notebook", number, names, nearest(number, names))
    return NOTEBOOKS / name
