"""Copies of a step to run: a folder laid out as the repository is, in which one step has a learner's files.

The layout lets the INIs' own ``pythonpath = %d../..`` and ``%d../NN_name`` find what they name.
"""

import ast
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from offload_lab.errors import CheckError
from offload_lab.paths import ROOT
from offload_lab.stages.manifest import find, steps_folder
from offload_lab.stages.stage import short_private_folder
from offload_lab.stages.step import Step, Task

from . import regions, workspace


@contextmanager
def sandbox(
    step: Step, source: Path | None = None, answers: Mapping[str, str] | None = None, only: Task | None = None
) -> Iterator[Step]:
    """A copy of `step` until the block ends. Its other steps are links to the repository's.

    `source`: the folder to copy, by default the step's own. `answers`: the lines of regions, by task. `only`: take no
    more than the answer to this task from `source`; other tasks' files and missing ones are the step's.
    """
    root = short_private_folder()
    try:
        (root / "offload_lab").symlink_to(ROOT / "offload_lab")
        steps = root / "steps"
        steps.mkdir()
        for other in steps_folder().glob("*/step.toml"):
            if other.parent.name != step.name:
                (steps / other.parent.name).symlink_to(other.parent)
        ignored = shutil.ignore_patterns(".run", "__pycache__")
        shutil.copytree(source or step.folder, steps / step.name, ignore=ignored)
        if only:
            fill_from_step(step, only, steps / step.name)
        shutil.copy(step.folder / "step.toml", steps / step.name)
        for name, lines in (answers or {}).items():
            path = steps / step.name / step.task(name).file
            path.write_text(regions.fill(path.read_text(), {name: lines}))
        yield find(step.name, steps)
    finally:
        shutil.rmtree(root, ignore_errors=True)


def fill_from_step(step: Step, task: Task, target: Path) -> None:
    """Copy the step's own files to `target`: those of other tasks, and those that are missing there."""
    for path in step.folder.rglob("*"):
        name = path.relative_to(step.folder)
        if path.is_file() and (str(name) in other_files(step, task) or not (target / name).exists()):
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, target / name)


def other_files(step: Step, task: Task) -> set[str]:
    """The files of the step's other tasks."""
    return {other.file for other in step.tasks} - {task.file}


def solutions(step: Step) -> dict[str, str]:
    """Each task's lines, as the step has them."""
    return {task.name: regions.body((step.folder / task.file).read_text(), task.name) for task in step.tasks}


def check_files(step: Step, only: Task | None = None) -> None:
    """Check that the learner's files can be tested; with `only`, those that this task needs.

    Raises: CheckError or RegionError with the file and the command that gets it back.
    """
    folder = workspace.folder(step)
    for task in [only] if only else step.tasks:
        workspace.read(step, task)
    inis = {ini for variant in step.variants for ini in variant.inis} if only is None else ()
    for ini in sorted(inis):
        if not (folder / ini).exists():
            raise CheckError(
                f"{workspace.shown(folder / ini)} is gone;"
                f" get it back with: ./lab reset {step.number} (it keeps a copy)"
            )
    excluded = other_files(step, only) if only else set()
    for path in sorted(folder.rglob("*.py")):
        if str(path.relative_to(folder)) not in excluded:
            check_syntax(path)


def check_syntax(path: Path) -> None:
    try:
        ast.parse(path.read_bytes())
    except (SyntaxError, ValueError) as error:
        line = f", line {error.lineno}" if isinstance(error, SyntaxError) and error.lineno else ""
        what = error.msg if isinstance(error, SyntaxError) else error
        raise CheckError(f"{workspace.shown(path)}{line}: Python cannot read it: {what}; fix that first") from None
