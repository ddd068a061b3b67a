"""Copies that are tried: a folder of the repository's shape, in which one step is a learner's.

The shape is what lets the INIs' own ``pythonpath = %d../..`` and ``%d../NN_name`` find what they name.
"""

import ast
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from offload_lab.errors import CheckError
from offload_lab.paths import ROOT
from offload_lab.stages.manifest import Step, Task, find, steps_folder
from offload_lab.stages.stage import short_private_folder

from . import regions, workspace


@contextmanager
def scratch(
    step: Step, source: Path | None = None, answers: Mapping[str, str] | None = None, only: Task | None = None
) -> Iterator[Step]:
    """The step in a copy of `source` (its own folder unless given) whose regions hold `answers`, for as long as the
    block lasts. Its other steps are the repository's own.

    `only`: the task whose answer is tried. What stands in other tasks' files, or is missing, is the step's own then.
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
            put_in_place_of_others(step, only, steps / step.name)
        shutil.copy(step.folder / "step.toml", steps / step.name)
        for name, lines in (answers or {}).items():
            path = steps / step.name / step.task(name).file
            path.write_text(regions.fill(path.read_text(), {name: lines}))
        yield find(step.name, steps)
    finally:
        shutil.rmtree(root, ignore_errors=True)


def put_in_place_of_others(step: Step, task: Task, target: Path) -> None:
    """Fill `target` with the step's own files where they are another task's or missing."""
    for path in step.folder.rglob("*"):
        name = path.relative_to(step.folder)
        if path.is_file() and (str(name) in other_files(step, task) or not (target / name).exists()):
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, target / name)


def other_files(step: Step, task: Task) -> set[str]:
    """The files of the step's other tasks."""
    return {one.file for one in step.tasks} - {task.file}


def solutions(step: Step) -> dict[str, str]:
    """Each task's lines, as the step has them."""
    return {task.name: regions.body((step.folder / task.file).read_text(), task.name) for task in step.tasks}


def inspect(step: Step, only: Task | None = None) -> None:
    """See that the learner's folder can be tried; for the task `only`, all but other tasks' files and what is missing.
    Raises CheckError or RegionError, each with what to do."""
    theirs = workspace.folder(step)
    for task in [only] if only else step.tasks:
        workspace.read(step, task)
    inis = {ini for variant in step.variants for ini in variant.inis} if only is None else ()
    for ini in sorted(inis):
        if not (theirs / ini).exists():
            raise CheckError(
                f"{workspace.shown(theirs / ini)} is gone;"
                f" get it back with: ./lab reset {step.number} (it keeps a copy)"
            )
    others = other_files(step, only) if only else set()
    for path in sorted(theirs.rglob("*.py")):
        if str(path.relative_to(theirs)) not in others:
            see_that_python_reads(path)


def see_that_python_reads(path: Path) -> None:
    try:
        ast.parse(path.read_bytes())
    except (SyntaxError, ValueError) as error:
        line = f", line {error.lineno}" if isinstance(error, SyntaxError) and error.lineno else ""
        what = error.msg if isinstance(error, SyntaxError) else error
        raise CheckError(f"{workspace.shown(path)}{line}: Python cannot read it: {what}; mend that first") from None
