"""The learner's folder: the stage with its blanks, and what was put aside when it was reset."""

import os
import re
import shutil
from datetime import datetime
from pathlib import Path

from offload_lab.errors import CheckError, RegionError, WorkspaceError
from offload_lab.paths import ROOT
from offload_lab.stages.manifest import Step, Task

from . import regions

# what proves a step or tells about it is no part of what a learner edits
NOT_THEIRS = ("tests", "lesson", "step.toml", "README.md", ".run", "__pycache__")
NEIGHBOUR = re.compile(r"%d\.\./(?=\d\d_)")  # another step's folder in an INI: it stands elsewhere, seen from work/


def work() -> Path:
    """Where learners' folders are: `work` in the repository, or the folder that ``LAB_WORK`` names."""
    return Path(os.environ.get("LAB_WORK") or ROOT / "work").resolve()


def folder(step: Step) -> Path:
    """The learner's folder of `step`. Raises WorkspaceError where it was not started."""
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


def start(step: Step, *, solved: bool = False) -> tuple[Path, Path | None]:
    """Make the learner's folder, with blanks unless `solved`; the folder, and where its former content was put.

    Raises WorkspaceError where it is there already: only a solved one replaces it, for a class that goes on.
    """
    target = work() / step.name
    if target.exists() and not solved:
        raise WorkspaceError(
            f"{shown(target)} is there already, with your work in it; go on with ./lab check {step.number}, or begin"
            f" again with ./lab reset {step.number} (it keeps a copy)"
        )
    kept = keep(target, step) if target.exists() else None
    write(step, target, solved=solved)
    return target, kept


def write(step: Step, target: Path, *, solved: bool = False) -> None:
    """Put the stage's files into `target`, which is made anew."""
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(step.folder, target, ignore=shutil.ignore_patterns(*NOT_THEIRS))
    for path in target.glob("*.ini"):
        path.write_text(NEIGHBOUR.sub("%d../../steps/", path.read_text()))
    for file in {task.file for task in step.tasks} if not solved else ():
        path = target / file
        path.write_text(blanked(step, file, path.read_text()))


def blanked(step: Step, file: str, text: str) -> str:
    return regions.fill(text, {task.name: task.blank for task in step.tasks if task.file == file})


def reset(step: Step, task: Task | None = None) -> Path:
    """Put the blanks back, of one task or of all; where the copy of what was replaced is."""
    target = folder(step)
    kept = keep(target, step)
    if task is None:
        write(step, target)
        return kept
    path = target / task.file
    fresh = blanked(step, task.file, NEIGHBOUR.sub("%d../../steps/", (step.folder / task.file).read_text()))
    try:
        text = regions.fill(path.read_text(), {task.name: task.blank})
    except (OSError, UnicodeDecodeError, RegionError):
        text = fresh
    path.write_text(text)
    return kept


def keep(target: Path, step: Step) -> Path:
    """A copy of the learner's folder as it is now."""
    kept = work() / ".kept" / f"{step.name}-{datetime.now():%Y%m%d-%H%M%S-%f}"
    shutil.copytree(target, kept, ignore=shutil.ignore_patterns(".run", "__pycache__"))
    return kept


# --- read


def answer(step: Step, task: Task) -> str:
    """The learner's lines. Raises RegionError or CheckError, naming the file and the way out."""
    return regions.body(read(step, task), task.name)


def untouched(task: Task) -> str:
    """What `answer` gives as long as nothing was written."""
    return regions.tidy(task.blank)


def read(step: Step, task: Task) -> str:
    """The learner's file of `task`, in which its region was found."""
    path = folder(step) / task.file
    way_out = f"./lab reset {step.number} {task.name} (it keeps a copy)"
    try:
        text = path.read_text()
        regions.find(text, task.name)
    except RegionError as error:
        raise RegionError(f"{shown(path)}, {error}; put the marker lines back around yours, or: {way_out}") from None
    except FileNotFoundError:
        raise CheckError(f"{shown(path)} is gone; get it back with: {way_out}") from None
    except UnicodeDecodeError:
        raise CheckError(f"{shown(path)} is no text any more; save it as UTF-8, or: {way_out}") from None
    return text
