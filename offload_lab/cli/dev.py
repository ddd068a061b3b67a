"""./lab dev check, new-pitfall, drawings: for those who change the course."""

import subprocess
import sys
import time
from dataclasses import dataclass

import click

from offload_lab.course import drawings as figures
from offload_lab.course import new_pitfall as templates
from offload_lab.errors import LabError
from offload_lab.exercises.workspace import shown
from offload_lab.paths import ROOT
from offload_lab.stages import manifest

from .console import out
from .needs import needs


@dataclass(frozen=True)
class Check:
    """What `pytest tests [-k chosen]` proves of the course."""

    subject: str
    proves: str
    tests: tuple[str, ...]
    chosen: str = ""


PROOFS = ("tests/integration/test_exercises_proofs.py",)
CHECKS = (
    Check("manifests", "each can be read and adds up", ("tests/unit/test_manifest.py", "tests/unit/test_house.py")),
    Check("INIs", "each keeps the contract", ("tests/integration/test_ini_contract.py",)),
    Check(
        "tasks",
        "each has its test, three hints, two mistakes",
        PROOFS,
        "has_its_tasks or has_three_hints or has_its_test",
    ),
    Check("blanks", "each fails at its own task", PROOFS, "blank_fails"),
    Check("hints", "the last one passes", PROOFS, "last_hint"),
    Check("links", "each file, test, command and variant exists", ("tests/docs/test_docs.py",)),
)
QUICK = ("-m", "not full")


@click.group(epilog="Example: ./lab dev check")
def dev() -> None:
    """Check the course after a change, add a pitfall to it, or draw its drawings again."""


@dev.command(epilog="Example: ./lab dev check --full")
@click.option("--full", is_flag=True, help="The blanks and hints of all tasks, not of the first in each step only.")
def check(full: bool) -> None:
    """Prove manifests, INIs, tasks, blanks, hints and links, with one line for each.

    Exit status 1 if one of them fails; pytest's output is printed below its line.
    """
    needs("test")
    passed = [run(check, full) for check in CHECKS]
    if not all(passed):
        sys.exit(1)


def arguments(check: Check, full: bool) -> tuple[str, ...]:
    """What chooses the tests of `check`, as arguments of pytest."""
    return (*(() if full else QUICK), *(("-k", check.chosen) if check.chosen else ()), *check.tests)


def run(check: Check, full: bool) -> bool:
    """Print the line of `check`, and pytest's output below it if it failed."""
    began = time.monotonic()
    with out.status(f"{check.subject}: {check.proves}"):
        result = subprocess.run(
            [sys.executable, "-m", "pytest", "-q", *arguments(check, full)], cwd=ROOT, capture_output=True, text=True
        )
    passed = result.returncode == 0
    mark = "[green]ok[/]    " if passed else "[red]failed[/]"
    took_s = time.monotonic() - began
    out.print(f"{mark} [bold]{check.subject:<10}[/] {check.proves} ({took_s:.0f} s)", soft_wrap=True)
    if not passed:
        out.print(result.stdout + result.stderr, markup=False, soft_wrap=True)
    return passed


@dev.command("new-pitfall", epilog="Example: ./lab dev new-pitfall lost_cookie")
@click.argument("name")
def new_pitfall(name: str) -> None:
    """Make the page, the two INIs, the variants and the tests of the pitfall NAME, to be filled in."""
    step = next((step for step in manifest.steps() if step.pitfalls), None)
    if step is None:
        raise LabError("no step has a pair of variants NAME_broken and NAME_fixed, to which a pitfall could be added")
    for path in templates.new_pitfall(step, name):
        out.print(f"wrote {shown(path)}", soft_wrap=True)
    out.print(f"next: fill in each TODO, until this passes: [cyan]./lab test -k {name}[/]", soft_wrap=True)


@dev.command(epilog="Example: ./lab dev drawings")
def drawings() -> None:
    """Draw docs/figures/architecture-*.svg and sequence-*.svg again, from drawings.toml beside them."""
    for path in figures.renew():
        out.print(f"wrote {shown(path)}", soft_wrap=True)
