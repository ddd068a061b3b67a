"""Install the packages of a command, once its arguments are known to be right."""

import os
import sys

import click

from offload_lab.errors import UnknownNameError
from offload_lab.paths import ROOT

from .console import out

LAB = str(ROOT / "lab")
LOCKS = {  # requirements/<lock>.lock by what needs it; everything else needs base only
    "demo": "demo",
    "check": "check",
    "watch": "check",
    "notebook": "notebooks",
    "test": "dev",
    "bench": "bench",
    "book": "book",
    "slides": "book",
    "postgresql": "postgresql",
}


def needs(*names: str) -> None:
    """Install the packages of all `names` in LOCKS: replaces this process by ./lab, which installs them and runs again.

    Does nothing if the process was not started by ./lab.
    """
    installed = os.environ.pop("LAB_LOCKS", None)
    wanted = dict.fromkeys(LOCKS[name] for name in names)
    if installed is not None and not wanted.keys() <= set(installed.split()):
        locks = " ".join(["base", *wanted])
        os.execve(LAB, [LAB, *sys.argv[1:]], {**os.environ, "LAB_LOCKS": locks})  # noqa: S606 (no shell wanted)


@click.command(epilog="Example: ./lab install notebook")
@click.argument("names", nargs=-1, metavar="[COMMAND]...")
def install(names: tuple[str, ...]) -> None:
    """Install now what COMMANDS, by default all, would install when first used."""
    if unknown := next((name for name in names if name not in LOCKS), None):
        raise UnknownNameError("command with packages of its own", unknown, LOCKS)
    needs(*names or LOCKS)
    out.print(f"installed: what {', '.join(names or LOCKS)} need{'s' if len(names) == 1 else ''}")
