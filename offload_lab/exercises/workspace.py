"""The learner's folder: a copy of the step with blanks, and backups of what a reset replaced."""

import os
import re
import shutil
from datetime import datetime
from pathlib import Path

from offload_lab.errors import CheckError, RegionError, WorkspaceError
from offload_lab.paths import ROOT
from offload_lab.stages.step import Step, Task

from . import regions

# tests and documents are not for the learner to edit
EXCLUDED = ("tests", "lesson", "step.toml", "README.md", ".run", "__pycache__")
OTHER_STEP = re.compile(r"%d\.\./(?=\d\d_)")  # another step's folder in an INI: its path differs from work/


def work() -> Path:
    """Where learners' folders are: `work` in the repository, or the folder that ``LAB_WORK`` names."""
    return Path(os.environ.get("LAB_WORK") or ROOT / "work").resolve()


def folder(step: Step) -> Path:
    """The learner's folder of `step`.

    Raises: WorkspaceError where the step was not started.
    """
    path = work() / step.name
    if not is_started(step):
        raise WorkspaceError(f"{shown(path)} is not there yet; make it with: ./lab start {step.number}")
    return path


def is_started(step: Step) -> bool:
    return (work() / step.name).is_dir()


def shown(path: Path) -> str:
    """`path` as a person in the repository would type it."""
    return str(path.relative_to(ROOT)) if path.is_relative_to(ROOT) else str(path)


# --- start and reset


def start(step: Step, *, solved: bool = False) -> tuple[Path, list[Task]]:
    """Make the learner's folder, with blanks unless `solved`: then what is still blank in a folder that is there is
    filled in, and all else in it stays.

    Returns the folder, and the tasks whose solutions were written.

    Raises: WorkspaceError where the folder exists and `solved` is False.
    """
    target = work() / step.name
    if target.exists() and not solved:
        raise WorkspaceError(
            f"{shown(target)} is there already, with your work in it; go on with ./lab check {step.number}, or begin"
            f" again with ./lab reset {step.number} (it keeps a copy)"
        )
    if not target.exists():
        write(step, target)
    return target, [task for task in step.tasks if fill_blank(step, task)] if solved else []


def fill_blank(step: Step, task: Task) -> bool:
    """Write the solution where the blank still is. Returns whether it was."""
    path = folder(step) / task.file
    try:
        if answer(step, task) != blank_lines(task):
            return False
    except (RegionError, CheckError):  # the learner's own, whatever it is
        return False
    solution = regions.body((step.folder / task.file).read_text(), task.name)
    path.write_text(regions.fill(path.read_text(), {task.name: solution}))
    return True


def write(step: Step, target: Path) -> None:
    """Copy the step's files to `target`, which is emptied first."""
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(step.folder, target, ignore=shutil.ignore_patterns(*EXCLUDED))
    for path in target.glob("*.ini"):
        path.write_text(OTHER_STEP.sub("%d../../steps/", path.read_text()))
    for file in {task.file for task in step.tasks}:
        path = target / file
        path.write_text(blanked(step, file, path.read_text()))


def blanked(step: Step, file: str, text: str) -> str:
    return regions.fill(text, {task.name: task.blank for task in step.tasks if task.file == file})


def reset(step: Step, task: Task | None = None) -> Path:
    """Put the blanks back, of one task or of all. Returns the backup of what was replaced."""
    target = folder(step)
    kept = backup(target)
    if task is None:
        write(step, target)
        return kept
    path = target / task.file
    fresh = blanked(step, task.file, OTHER_STEP.sub("%d../../steps/", (step.folder / task.file).read_text()))
    try:
        text = regions.fill(path.read_text(), {task.name: task.blank})
    except (OSError, UnicodeDecodeError, RegionError):
        text = fresh
    path.write_text(text)
    return kept


def backup(target: Path) -> Path:
    """Copy the learner's folder. Returns the copy."""
    kept = work() / ".kept" / f"{target.name}-{datetime.now():%Y%m%d-%H%M%S-%f}"
    shutil.copytree(target, kept, ignore=shutil.ignore_patterns(".run", "__pycache__"))
    return kept


# --- read


def answer(step: Step, task: Task) -> str:
    """The learner's lines.

    Raises: RegionError or CheckError with the file and the command that gets it back.
    """
    return regions.body(read(step, task), task.name)


def blank_lines(task: Task) -> str:
    """The `answer` of a learner who has written nothing."""
    return regions.tidy(task.blank)


def read(step: Step, task: Task) -> str:
    """The text of the learner's file, which has the region of `task`.

    Raises: RegionError or CheckError with the file and the command that gets it back.
    """
    path = folder(step) / task.file
    get_back = f"./lab reset {step.number} {task.name} (it keeps a copy)"
    try:
        text = path.read_text()
        regions.find(text, task.name)
    except RegionError as error:
        raise RegionError(f"{shown(path)}, {error}; put the marker lines back around yours, or: {get_back}") from None
    except FileNotFoundError:
        raise CheckError(f"{shown(path)} is gone; get it back with: {get_back}") from None
    except UnicodeDecodeError:
        raise CheckError(f"{shown(path)} is no text any more; save it as UTF-8, or: {get_back}") from None
    return text
