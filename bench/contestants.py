"""Who takes part: each folder in contestants/ with its contestant.toml, and one of them as a running server."""

import importlib.util
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from offload_lab import programs
from offload_lab.errors import ManifestError, MissingDependencyError
from offload_lab.uwsgi import binary

NEEDS = ("module", "file", "engine")  # each with the command that installs it; a program's is in offload_lab.programs
KINDS = ("ours", "python", "server", "floor")
FOLDER = Path(__file__).with_name("contestants")


@dataclass(frozen=True)
class Contestant:
    """One contestant.toml.

    `kind`: "ours", "python" (Django carries its streams itself), "server" (something in front does) or "floor".
    `shape`: which processes serve. `descriptors`: how many each stream takes in the process that has most of them.
    `urls`, `way`: which of bench/site's URLs, and what Django does after it said yes. `advice`: settings, and who says
    that they should be so. `needs`: what has to be there, and how to get it; programs are those of
    offload_lab.programs. `files`: configurations to be filled in.
    `process`: name, command, and the socket whose presence tells that it listens, in the order of their start.
    """

    name: str
    folder: Path
    kind: str
    title: str
    shape: str
    workloads: list[str]
    descriptors: int
    urls: str
    way: str
    advice: list[dict[str, str]]
    process: list[dict[str, Any]]
    needs: list[dict[str, str]]
    files: list[str]

    @classmethod
    def load(cls, folder: Path) -> "Contestant":
        """Raises ManifestError for a contestant.toml that lacks something or has something else."""
        path = folder / "contestant.toml"
        try:
            told = cls(
                name=folder.name,
                folder=folder,
                **{"needs": [], "files": [], "advice": [], **tomllib.loads(path.read_text())},
            )
        except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError, TypeError) as error:
            raise ManifestError(f"{path} cannot be used: {error}") from error
        for need in told.needs:
            is_program = need.keys() == {"program"} and need["program"] in programs.PROGRAMS
            if not is_program and (len(need) != 2 or "install" not in need or not need.keys() & {*NEEDS}):
                raise ManifestError(f"{path}: {need} needs a program, or one of {', '.join(NEEDS)} and install")
        return told

    def check(self) -> None:
        """Raises MissingDependencyError with the command that installs the first thing that is not there."""
        for need in self.needs:
            if "program" in need:
                programs.require(need["program"], self.name)
                continue
            [what] = (value for kind, value in need.items() if kind != "install")
            if not there(need):
                raise MissingDependencyError(what, self.name, need["install"])


def there(need: dict[str, str]) -> bool:
    match need:
        case {"module": name}:
            return importlib.util.find_spec(name) is not None
        case {"file": name}:
            return Path(name).exists()
    try:
        binary.find(need["engine"])
    except MissingDependencyError:
        return False
    return True


def load_all() -> dict[str, Contestant]:
    """By name, in the order in which they are shown: by kind, then by name."""
    found = [Contestant.load(path.parent) for path in FOLDER.glob("*/contestant.toml")]
    return {one.name: one for one in sorted(found, key=lambda one: (KINDS.index(one.kind), one.name))}
