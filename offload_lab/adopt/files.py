"""Which of the deployed files a project gets, with its names in them; and writing them, never over anything."""

import difflib
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from .project import Project

State = Literal["new", "same", "kept"]
DEPLOYED = (
    "*.ini",
    "pass/*",
    "*.conf",
    "shop.env",
    "metrics.py",
    "requirements.txt",
    "container/*",
    "systemd/*",
)
APPS = ("offload", "notifications", "chat", "downloads")
TO = "deploy"
MOVED = {  # an image is built from the project's folder
    "COPY shop ./": "COPY . ./",
    "COPY requirements.txt": f"COPY {TO}/requirements.txt",
    "COPY front.ini backend.ini ws.ini": f"COPY {TO}/front.ini {TO}/backend.ini {TO}/ws.ini",
    "context: ..": "context: ../..",
    "dockerfile: container": f"dockerfile: {TO}/container",
    "-f container": f"-f {TO}/container",
}


@dataclass(frozen=True)
class File:
    """`path` as the project has it, and what is meant to stand there. `state`: "kept" differs, and stays as it is."""

    path: Path
    text: str

    @property
    def state(self) -> State:
        if not os.path.lexists(self.path):
            return "new"
        return "same" if self.path.is_file() and self.path.read_text(errors="replace") == self.text else "kept"

    def difference(self) -> str:
        """From what is there to what is meant, as a unified diff."""
        before = self.path.read_text(errors="replace").splitlines(keepends=True) if self.path.is_file() else []
        after = self.text.splitlines(keepends=True)
        return "".join(difflib.unified_diff(before, after, str(self.path), f"{self.path} (of the lab)"))


def plan(project: Project, step: Path) -> list[File]:
    """All files for `project` from the folder `step`. An app whose name the project uses already is left out."""
    deployed = [
        File(project.folder / TO / renamed(path.relative_to(step), project), filled(path.read_text(), project))
        for pattern in DEPLOYED
        for path in sorted(step.glob(pattern))
    ]
    apps = [
        File(project.folder / path.relative_to(step / "shop"), path.read_text())
        for app in APPS
        if app not in taken(project, step)
        for path in sorted((step / "shop" / app).rglob("*"))
        if path.is_file() and "__pycache__" not in path.parts
    ]
    return [*deployed, *apps]


def taken(project: Project, step: Path) -> list[str]:
    """Our apps' names that stand for something else in the project: none of the files there is ours."""
    return [
        app
        for app in APPS
        if app in project.apps and not any(is_ours(project, path, step) for path in files(app, step))
    ]


def files(app: str, step: Path) -> Iterator[Path]:
    return (path for path in (step / "shop" / app).glob("*.py") if path.stat().st_size)


def is_ours(project: Project, path: Path, step: Path) -> bool:
    there = project.folder / path.relative_to(step / "shop")
    return there.is_file() and there.read_text(errors="replace") == path.read_text()


def renamed(path: Path, project: Project) -> Path:
    return Path(re.sub(r"\bshop\b", project.name, str(path)))


def filled(text: str, project: Project) -> str:
    """With the project's name and modules, and as seen from its folder, which is /srv/NAME."""
    pairs = {"config.wsgi": project.wsgi, "config.settings": project.settings, **MOVED}
    for old, new in pairs.items():
        text = text.replace(old, new)
    return re.sub(r"\bshop\b", project.name, text)


def write(files: list[File]) -> None:
    """Those that are new.

    Raises: FileExistsError where one came meanwhile: nothing is ever written over.
    """
    for file in files:
        if file.state == "new":
            file.path.parent.mkdir(parents=True, exist_ok=True)
            with file.path.open("x") as new:
                new.write(file.text)
