"""Which uWSGI this is and what it was built with, from its own ``--help`` and ``--version``."""

import json
import os
import platform
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from offload_lab.errors import LabError, MissingDependencyError, UnknownNameError
from offload_lab.paths import ROOT
from offload_lab.timeouts import scaled

BUILT = ROOT / ".engine"  # uwsgi_build/build.py's output: the program, and what was proved of it
AGAIN = "./lab engine --force"
ASK_S = 30.0
INSTALL = "pip install pyuwsgi"
ABILITIES = {  # that a variant may need: what it is, and what a uWSGI without it does
    "route": ("a working uwsgi.route()", "crashes its worker there"),
    "range": ("exact ranges from an offload thread", "sends the file to its end"),
    "pass": ("passuwsgi", "has no such action"),
}


@dataclass(frozen=True)
class Engine:
    """One uWSGI program. `command` starts it; the flags say what it was built with.

    `proved`: what uwsgi_build/prove.py saw it do. Only the patched build has such a proof: every release up to 2.0.31
    fails in each of ABILITIES.
    """

    name: str
    command: tuple[str, ...]
    version: str
    pcre: bool
    ssl: bool
    gevent: bool
    proved: frozenset[str] = frozenset()

    @property
    def route_works(self) -> bool:
        return "route" in self.proved

    def check(self, needs: Iterable[str]) -> None:
        """Raises: MissingDependencyError where this uWSGI lacks an ability in `needs`, one of ABILITIES."""
        for need in needs:
            if need not in self.proved:
                what, instead = ABILITIES[need]
                raise MissingDependencyError(
                    f"{what} (uWSGI {self.version}, {self.name}, {instead})",
                    "this variant",
                    "./lab engine",
                )


def find(name: str | None = None) -> Engine:
    """The engine `name`: ``wheel``, ``built`` or a path. None: the value of `LAB_UWSGI`, else the wheel.

    Raises: MissingDependencyError with the command that installs it, UnknownNameError for another name.
    """
    name = name or os.environ.get("LAB_UWSGI") or "wheel"
    if name == "wheel":
        return inspect("wheel", (str(wheel()),))
    if name == "built":
        return built()
    if os.access(name, os.X_OK) and os.path.isfile(name):
        return inspect(name, (os.path.abspath(name),))
    raise UnknownNameError("uWSGI", name, ["wheel", "built", "a path to a uwsgi program"])


def find_able(needs: Iterable[str], name: str | None = None) -> Engine:
    """`find`; where no uWSGI is named, the built one if there is one and only that has the abilities in `needs`.

    Raises: MissingDependencyError where an ability is missing.
    """
    found, needed = find(name), frozenset(needs)
    if not (name or os.environ.get("LAB_UWSGI") or needed <= found.proved):
        with suppress(MissingDependencyError):
            found = built()
    found.check(needed)
    return found


def built() -> Engine:
    """The engine that uwsgi_build/build.py made, if it was made for this Python."""
    program, stamp = BUILT / "uwsgi", BUILT / "engine.json"
    if not (program.exists() and stamp.exists()):
        raise MissingDependencyError("the built uWSGI", "uwsgi.route() and native WebSockets", "./lab engine")
    try:
        made = json.loads(stamp.read_text())
        version, run_with, proved = made["inputs"]["python"]["version"], made["run_with"], made["proved"]
    except (ValueError, KeyError, TypeError) as error:
        raise MissingDependencyError(
            f"a built uWSGI ({stamp} cannot be read: {error!r})", "uwsgi.route()", AGAIN
        ) from error
    if version != platform.python_version():
        what = f"a built uWSGI for Python {platform.python_version()} (there is one for {version})"
        raise MissingDependencyError(what, "uwsgi.route() and native WebSockets", "./lab engine")
    return inspect("built", (str(program), *run_with), frozenset(proved))


def wheel() -> Path:
    """The uwsgi script beside this interpreter, else the one on the path."""
    beside = Path(sys.executable).with_name("uwsgi")
    if beside.exists():
        return beside
    found = shutil.which("uwsgi")
    if found is None:
        raise MissingDependencyError("uWSGI", "everything here", INSTALL)
    return Path(found)


@cache
def inspect(name: str, command: tuple[str, ...], proved: frozenset[str] = frozenset()) -> Engine:
    """Run the program for its version and options: an option exists exactly if its feature was compiled in."""
    options = ask(command, "--help")
    return Engine(
        name=name,
        command=command,
        version=ask(command, "--version").strip().splitlines()[-1],
        pcre=has(options, "response-route"),
        ssl=has(options, "https-socket"),
        gevent=has(options, "gevent"),
        proved=proved,
    )


def has(options: str, option: str) -> bool:
    """Whether the text of ``uwsgi --help`` lists `option`."""
    return re.search(rf"^\s+(?:-\w\|)?--{re.escape(option)}\s", options, re.MULTILINE) is not None


def ask(command: tuple[str, ...], question: str) -> str:
    """The output of ``command question``.

    Raises: LabError where it cannot be run, takes longer than ASK_S, or prints nothing.
    """
    try:
        answer = subprocess.run(
            [*command, question], capture_output=True, text=True, errors="replace", timeout=scaled(ASK_S)
        )
    except OSError as error:
        raise LabError(f"{command[0]} cannot be run: {error.strerror}; name a uwsgi program, wheel or built") from error
    except subprocess.TimeoutExpired:
        raise LabError(f"{command[0]} did not answer {question} within {ASK_S:g} s; is it a uwsgi program?") from None
    if not (output := answer.stdout + answer.stderr).strip():
        raise LabError(f"{command[0]} prints nothing for {question}; name a uwsgi program, wheel or built")
    return output
