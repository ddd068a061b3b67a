"""Which uWSGI this is and what it can do: found by asking the program itself."""

import json
import os
import platform
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from .errors import Missing, Unknown
from .timeouts import scaled

ROOT = Path(__file__).resolve().parent.parent
BUILT = ROOT / ".engine"  # where engine/build.py puts its work: the program and what was proved of it
INSTALL = "pip install pyuwsgi"


@dataclass(frozen=True)
class Engine:
    """One uWSGI program. `command` starts it; the flags say what it was built with.

    `route_works` is true where `uwsgi.route()` was proved to work: only the patched build claims it, since every
    release up to 2.0.31 crashes there (unbit/uwsgi #1041).
    """

    name: str
    command: tuple[str, ...]
    version: str
    pcre: bool
    ssl: bool
    gevent: bool
    route_works: bool

    def check(self, needs: Iterable[str]) -> None:
        """Raises Missing where `needs` names an ability that this uWSGI lacks: so far there is ``route``."""
        if "route" in needs and not self.route_works:
            raise Missing(
                f"a working uwsgi.route() (uWSGI {self.version}, {self.name}, crashes its worker there)",
                "this variant",
                "./lab engine, and then add --engine built",
            )


def find(name: str | None = None) -> Engine:
    """The engine called `name`: ``wheel``, ``built`` or a path. None: what `LAB_UWSGI` says, else the wheel.

    Raises Missing with the command that installs it, Unknown for a word that is neither.
    """
    name = name or os.environ.get("LAB_UWSGI") or "wheel"
    if name == "wheel":
        return inspect("wheel", (str(wheel()),), False)
    if name == "built":
        return built()
    if os.access(name, os.X_OK) and os.path.isfile(name):
        return inspect(name, (os.path.abspath(name),), False)
    raise Unknown("uWSGI", name, ["wheel", "built", "a path to a uwsgi program"], None)


def built() -> Engine:
    """The one that engine/build.py made, if it was made for the Python that runs this."""
    program, stamp = BUILT / "uwsgi", BUILT / "engine.json"
    if not (program.exists() and stamp.exists()):
        raise Missing("the built uWSGI", "uwsgi.route() and native WebSockets", "./lab engine")
    made = json.loads(stamp.read_text())
    if (version := made["inputs"]["python"]["version"]) != platform.python_version():
        what = f"a built uWSGI for Python {platform.python_version()} (there is one for {version})"
        raise Missing(what, "uwsgi.route() and native WebSockets", "./lab engine")
    return inspect("built", (str(program), *made["run_with"]), "route" in made["proved"])


def wheel() -> Path:
    """The uwsgi script beside this interpreter, else the one on the path."""
    beside = Path(sys.executable).with_name("uwsgi")
    if beside.exists():
        return beside
    found = shutil.which("uwsgi")
    if found is None:
        raise Missing("uWSGI", "everything here", INSTALL)
    return Path(found)


@cache
def inspect(name: str, command: tuple[str, ...], route_works: bool) -> Engine:
    """Ask for the version and the options: an option is there exactly if its feature was compiled in."""
    options = ask(command, "--help")
    return Engine(
        name=name,
        command=command,
        version=ask(command, "--version").strip().splitlines()[-1],
        pcre=has(options, "response-route"),
        ssl=has(options, "https-socket"),
        gevent=has(options, "gevent"),
        route_works=route_works,
    )


def has(options: str, option: str) -> bool:
    """Whether the text of ``uwsgi --help`` lists `option`."""
    return re.search(rf"^\s+(?:-\w\|)?--{re.escape(option)}\s", options, re.MULTILINE) is not None


def ask(command: tuple[str, ...], question: str) -> str:
    answer = subprocess.run([*command, question], capture_output=True, text=True, timeout=scaled(30))
    return answer.stdout + answer.stderr
