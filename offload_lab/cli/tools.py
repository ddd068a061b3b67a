"""./lab test, notebook, engine: other programs, started in the right place."""

import importlib.util
import os
import sys
from pathlib import Path

import click

from offload_lab.errors import MissingDependencyError, UnknownNameError
from offload_lab.exercises.notebook_copies import copies
from offload_lab.exercises.workspace import shown
from offload_lab.paths import ROOT

from .console import out
from .needs import needs

NOTEBOOKS = ROOT / "notebooks"
# else JupyterLab begins with a question about its own news, and looks for newer versions of itself
NO_NEWS = f"--LabApp.app_settings_dir={Path(__file__).with_name('jupyterlab')}"
FIRST_CELL = Path(__file__).with_name("jupyterlab") / "first_cell.py"
SIDE_BY_SIDE = ("--numprocesses=4", "--dist=loadscope")  # see conftest.py; two cores were idle for a fifth with 3
QUICK = ("-m", "not full", "--durations=10", "--durations-min=5")  # shows what should perhaps be marked full


@click.command(context_settings={"ignore_unknown_options": True}, epilog="Example: ./lab test -k reload -x")
@click.option("--full", is_flag=True, help="All tests; without it, those of the quick tier (three minutes).")
@click.option("--cov", is_flag=True, help="Measure which lines of offload_lab/ the tests run.")
@click.argument("pytest_args", nargs=-1, type=click.UNPROCESSED)
def test(full: bool, cov: bool, pytest_args: tuple[str, ...]) -> None:
    """Run the quick tests, or all with --full; PYTEST_ARGS go to pytest, which then runs all tests that they name."""
    needs("test")
    os.chdir(ROOT)
    args = pytest_args_of(full, pytest_args, side_by_side=importlib.util.find_spec("xdist") is not None)
    coverage = ["--cov"] if cov else []  # of what pyproject.toml names
    os.execv(sys.executable, [sys.executable, "-m", "pytest", *args, *coverage])  # noqa: S606 (no shell wanted)


def pytest_args_of(full: bool, named: tuple[str, ...], side_by_side: bool) -> tuple[str, ...]:
    """The arguments of pytest. Named tests of both tiers run in one process, whose output is easier to read, unless
    `full` is set."""
    if named and not full:
        return named
    return (*(SIDE_BY_SIDE if side_by_side else ()), *(() if full else QUICK), *named)


@click.command(epilog="Example: ./lab engine --force")
@click.option("--force", is_flag=True, help="Build it again even if nothing has changed.")
@click.option("--each", is_flag=True, help="Only show that each patch applies and compiles on its own.")
@click.option("--sanitize", is_flag=True, help="Build one with gcc's sanitizers, drive it and print their reports.")
def engine(force: bool, each: bool, sanitize: bool) -> None:
    """Build the patched uWSGI, once: uwsgi.route() works on it."""
    if each and (force or sanitize):
        raise click.UsageError("--each builds nothing: give it alone")
    script = "each" if each else "sanitize" if sanitize else "build"
    path = str(ROOT / "uwsgi_build" / f"{script}.py")
    os.execv(sys.executable, [sys.executable, path, *(["--force"] if force else [])])  # noqa: S606


@click.command(epilog="Example: ./lab notebook 03")
@click.argument("number", default="00")
def notebook(number: str) -> None:
    """Open JupyterLab on a copy of notebook NUMBER (00, where it starts), in work/notebooks."""
    path = find_notebook(number)
    needs("notebook")
    if importlib.util.find_spec("jupyterlab") is None:
        raise MissingDependencyError("JupyterLab", "the notebooks", "./lab install notebook")
    made = copies(NOTEBOOKS)
    folder = made.folder
    root = ROOT if folder.is_relative_to(ROOT) else folder
    out.print(f"your copy: {shown(folder / path.name)}; delete it, and the next ./lab notebook makes a new one")
    if made.renewed:
        out.print(f"newer, and copied again, since you had not edited them: {', '.join(made.renewed)}", soft_wrap=True)
    if made.kept:
        out.print(f"newer in the project, but you edited yours, which stay: {', '.join(made.kept)}", soft_wrap=True)
    as_root = ["--allow-root"] if os.geteuid() == 0 else []  # in a container; it listens on the loopback only
    where = [f"--ServerApp.root_dir={root}", str((folder / path.name).relative_to(root))]
    args = ["-m", "jupyterlab", "--ip=127.0.0.1", NO_NEWS, *as_root, *where]
    os.chdir(root)
    os.environ["PYTHONSTARTUP"] = str(FIRST_CELL)
    os.execv(sys.executable, [sys.executable, *args])  # noqa: S606


def find_notebook(number: str) -> Path:
    """The notebook that `number` (``3``, ``03`` or ``03b``) begins.

    Raises: UnknownNameError with the nearest match.
    """
    names = sorted(path.name for path in NOTEBOOKS.glob("*.ipynb"))
    name = next((name for name in names if name.startswith((number, f"0{number}"))), None)
    if name is None:
        raise UnknownNameError("notebook", number, names)
    return NOTEBOOKS / name
