"""One archive for a room without a network: the repository as committed, and every package that its lock files pin.

The packages are downloaded by pip, which checks the hashes, for the Python and the platform that run this.
"""

import importlib.util
import platform
import re
import subprocess
import sys
import sysconfig
import tarfile
import tempfile
import tomllib
import venv
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from packaging.markers import Marker

from offload_lab import programs
from offload_lab.errors import LabError, MissingDependencyError, indent

STEP_OF_PIP = ("Collecting ", "Processing ", "Ignoring ")  # it prints one of these for each line of a lock file
PIN = re.compile(r"^[^\s#].*(?:\n[ \t].*)*", re.MULTILINE)  # a pin in a lock file, and its hashes on the lines below
MARKER = re.compile(
    r"(\S+) ; (.*?)(?= --hash| \\|$)", re.MULTILINE
)  # at a pin's beginning: for which Pythons and systems it is
STORED = 0  # gzip without compressing: wheels are compressed already, and it takes a tenth of the time

OnProgress = Callable[[str, float], None]  # a lock file's name, and the share that is downloaded, 0 to 1


class NoCloneError(LabError):
    """The folder is not the top of a git clone with a commit. `reason` is git's message."""

    def __init__(self, root: Path, reason: str) -> None:
        super().__init__(root, reason)
        self.root, self.reason = root, reason

    def __str__(self) -> str:
        return (
            f"{self.root} is no git clone of its own ({self.reason}), and only what git tracks is packed; "
            "make one with git clone; if this folder came out of such an archive, pass that one on"
        )


class DownloadError(LabError):
    """pip could not get all that a lock file pins."""

    def __init__(self, lock: str, tail: str) -> None:
        super().__init__(lock, tail)
        self.lock, self.tail = lock, tail

    def __str__(self) -> str:
        return f"could not download {self.lock}; read the end of pip's output, then try again:\n{indent(self.tail)}"


@dataclass(frozen=True)
class Packed:
    """`uncommitted`: how many changed files are not in it. `sources`: packages without a wheel."""

    archive: Path
    folder: str
    commit: str
    uncommitted: int
    packages: int
    sources: tuple[str, ...]
    made_for: str

    @property
    def mib(self) -> float:
        return self.archive.stat().st_size / 2**20


def pack(
    root: Path, dist: Path, on_progress: OnProgress, write_reading: Callable[[Path], object] = lambda into: None
) -> Packed:
    """Write the archive into `dist`. `write_reading` makes the folder `read` of it.

    Raises: NoCloneError, DownloadError, MissingDependencyError; then `dist` is as it was.
    """
    commit, uncommitted = committed(root)
    dist.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=dist) as temporary:
        folder = copy(root, Path(temporary))
        wheels = folder / "wheels"
        wheels.mkdir()
        pip = find_pip(Path(temporary))
        for lock in sorted(folder.glob("requirements/*.lock")):
            download(pip, lock, wheels, on_progress)
        write_reading(folder / "read")
        files = sorted(file.name for file in wheels.iterdir())
        (wheels / "made-for").write_text(f"{made_for()}\n")  # `lab` says it where they do not fit
        archive = dist / archive_name(folder.name)
        made = Packed(
            archive, folder.name, commit, uncommitted, len(files), tuple(filter(is_source, files)), made_for()
        )
        (folder / "OFFLINE.md").write_text(offline_page(made))
        half_made = Path(temporary) / "archive"
        compress(folder, half_made)
        half_made.replace(archive)
    return made


def archive_name(folder: str) -> str:
    return f"{folder}-py{sys.version_info.major}.{sys.version_info.minor}-{sysconfig.get_platform()}.tar.gz"


def made_for() -> str:
    """Such as "CPython 3.11 on Linux x86_64, glibc 2.36 or later"."""
    python = f"{platform.python_implementation()} {sys.version_info.major}.{sys.version_info.minor}"
    libc = " ".join(filter(None, platform.libc_ver()))
    return f"{python} on {platform.system()} {platform.machine()}" + (f", {libc} or later" if libc else "")


def is_source(file: str) -> bool:
    return not file.endswith(".whl")


# --- the repository


def committed(root: Path) -> tuple[str, int]:
    """The checked-out commit, and how many files differ from it.

    Raises: NoCloneError.
    """
    top = git(root, "rev-parse", "--show-toplevel")
    if Path(top).resolve() != root.resolve():
        raise NoCloneError(root, f"the clone around it is {top}")
    return git(root, "rev-parse", "--short", "HEAD"), len(git(root, "status", "--porcelain").splitlines())


def git(root: Path, *args: str) -> str:
    try:
        answer = subprocess.run(["git", "-C", str(root), *args], capture_output=True, text=True)
    except FileNotFoundError as error:
        raise MissingDependencyError("git", "./lab pack", programs.install("git")) from error
    if answer.returncode:
        raise NoCloneError(root, f"git says: {answer.stderr.strip()}")
    return answer.stdout.strip()


def copy(root: Path, temporary: Path) -> Path:
    """The committed files, in a folder of `temporary` that is called after project and version."""
    git(root, "archive", "--format=tar", f"--output={temporary / 'committed'}", "HEAD")
    with tarfile.open(temporary / "committed") as tracked:
        tracked.extraction_filter = getattr(tarfile, "data_filter", lambda member, path: member)
        tracked.extractall(temporary / "folder")
    project = tomllib.loads((temporary / "folder" / "pyproject.toml").read_text())["project"]
    return (temporary / "folder").rename(temporary / f"{project['name']}-{project['version']}")


# --- the packages


def find_pip(temporary: Path) -> list[str]:
    """This Python's pip, or where uv made the environment, one of its own for the moment.

    Raises: MissingDependencyError.
    """
    if importlib.util.find_spec("pip"):
        return [sys.executable, "-m", "pip"]
    try:
        venv.create(temporary / "pip", with_pip=True)
    except subprocess.CalledProcessError as error:
        raise MissingDependencyError("pip", "./lab pack", programs.command_here(programs.VENV)) from error
    return [str(temporary / "pip" / "bin" / "python"), "-m", "pip"]


def download(pip: list[str], lock: Path, wheels: Path, on_progress: OnProgress) -> None:
    """Everything that `lock` pins for this minor version and platform.

    Raises: DownloadError with the end of pip's output.
    """
    text = lock.read_text()
    command = [*pip, "download", "--no-deps", "--require-hashes", "--ignore-requires-python", "--progress-bar=off"]
    rounds = [text, *other_patches(text, f"{sys.version_info.major}.{sys.version_info.minor}")]
    pins = len(PIN.findall("\n".join(rounds)))
    handled = 0
    on_progress(lock.name, 0)
    for pinned in rounds:
        wanted, last = lock.with_suffix(".wanted"), deque[str](maxlen=5)
        wanted.write_text(pinned)
        into = ["--dest", str(wheels), "-r", str(wanted)]
        with subprocess.Popen([*command, *into], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as child:
            for line in child.stdout or ():
                last.append(line)
                handled += line.startswith(STEP_OF_PIP)
                on_progress(lock.name, min(handled, pins - 1) / max(pins, 1))
        wanted.unlink()
        if child.returncode:
            raise DownloadError(lock.name, "".join(last))
    on_progress(lock.name, 1)


def other_patches(text: str, minor: str) -> list[str]:
    """What the first and the last patch release of Python `minor` need besides what this one does, without the markers.

    The room's Python is hardly ever of the same patch release, and some pins are for 3.11.2 and not for 3.11.3.
    """
    found = []
    for release in (f"{minor}.0", f"{minor}.99"):
        pins = []
        for pin in PIN.findall(text):
            if marked := MARKER.match(pin):
                marker = Marker(marked[2])
                if not marker.evaluate() and marker.evaluate({"python_full_version": release}):
                    pins.append(marked[1] + pin[marked.end() :])
        found.append("\n".join(pins))
    return [pinned for pinned in found if pinned]


# --- the archive


def offline_page(made: Packed) -> str:
    return f"""# Offload Lab without a network

Made by `./lab pack` from commit {made.commit}, for {made.made_for}.

```
tar -xzf {made.archive.name}
cd {made.folder}
./lab demo
```

`wheels/` holds the {made.packages} packages that the files in `requirements/` pin. While that folder is there, `./lab`
installs from it and from nowhere else, and checks each package's hash. For another Python or another system, run `./lab
pack` on a machine like that one; or, where there is a network, remove `wheels/`.

The talk, the replays and the book are in `read/`: each opens with a double click. `./lab` takes the Python for which
the packages are, where this machine has it.

Not in here, because a system's own packages bring them: Python with its `venv` module, and for single parts a browser,
Redis, PostgreSQL, a C compiler. `./lab doctor` says what is missing and what it is for.
"""


def compress(folder: Path, archive: Path) -> None:
    def without_owner(member: tarfile.TarInfo) -> tarfile.TarInfo:
        member.uid = member.gid = 0  # unpacked by root, the files belong to root
        member.uname = member.gname = ""
        return member

    with tarfile.open(archive, "w:gz", compresslevel=STORED) as target:
        target.add(folder, folder.name, filter=without_owner)
