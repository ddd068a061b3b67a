"""The servers under test: each folder in peers/ with its server.toml says how one is started and what it needs."""

import importlib.util
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from offload_lab import programs
from offload_lab.errors import ManifestError, MissingDependencyError
from offload_lab.uwsgi import binary

NEEDS = ("module", "file", "engine")  # each with the command that installs it; a program's is in offload_lab.programs
KINDS = ("offload", "python", "proxy", "baseline")
FOLDER = Path(__file__).with_name("peers")


@dataclass(frozen=True)
class ServerSpec:
    """One server.toml.

    `kind`: "offload", "python" (Django holds its streams itself), "proxy" (a server in front does) or "baseline".
    `shape`: which processes serve. `descriptors`: how many each stream takes in the process that has most of them.
    `urls`, `way`: which of bench/site's URLs, and how Django answers an authorised request. `advice`: settings, each
    with its source. `needs`: what must be installed, and how; programs are those of offload_lab.programs.
    `files`: configurations to be filled in.
    `process`: name, command, and the UNIX socket on which it listens, if any, in the order of their start.
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
    def load(cls, folder: Path) -> "ServerSpec":
        """Raises: ManifestError for a server.toml with a missing, unknown or wrong entry."""
        path = folder / "server.toml"
        optional: dict[str, Any] = {"needs": [], "files": [], "advice": []}
        try:
            spec = cls(name=folder.name, folder=folder, **{**optional, **tomllib.loads(path.read_text())})
        except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError, TypeError) as error:
            raise ManifestError(f"{path} cannot be used: {error}") from error
        for need in spec.needs:
            is_program = need.keys() == {"program"} and need["program"] in programs.PROGRAMS
            if not is_program and (len(need) != 2 or "install" not in need or not need.keys() & {*NEEDS}):
                raise ManifestError(f"{path}: {need} needs a program, or one of {', '.join(NEEDS)} and install")
        return spec

    def check(self) -> None:
        """Raises: MissingDependencyError with the command that installs the first missing need."""
        for need in self.needs:
            if "program" in need:
                programs.require(need["program"], self.name)
                continue
            [what] = (value for kind, value in need.items() if kind != "install")
            if not is_installed(need):
                raise MissingDependencyError(what, self.name, need["install"])


def is_installed(need: dict[str, str]) -> bool:
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


def load_all() -> dict[str, ServerSpec]:
    """By name, in the order in which they are shown: by kind, then by name."""
    found = [ServerSpec.load(path.parent) for path in FOLDER.glob("*/server.toml")]
    return {spec.name: spec for spec in sorted(found, key=lambda spec: (KINDS.index(spec.kind), spec.name))}
