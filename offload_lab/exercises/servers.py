"""The broken variants of a step as servers to cure: a learner's folder for each, and the cure's own test on it."""

import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Literal

from offload_lab.errors import CheckError, WorkspaceError
from offload_lab.paths import ROOT
from offload_lab.stages.manifest import steps_folder
from offload_lab.stages.step import Server, Step, Variant
from offload_lab.timeouts import VARIABLE, load_factor, scaled

from . import neutral, workspace
from .check import UNENDED, UNENDED_ROW, Verdict, run_pytest
from .sandbox import check_syntax, sandbox

ROLES = ("backend", "front")  # the files of a server, in the order in which its processes start
IMPORTED = re.compile(r"^(?:from|import) (\w+)", re.MULTILINE)
ROUTED_VIEW = re.compile(r"\bviews\.(\w+)")  # in a project's urls.py
OWN_STEPS = re.compile(r"%d\.\./(?=\d\d_)")
OWN_ROOT = re.compile(r"%d\.\./\.\.$", re.MULTILINE)
TEST_S = 15  # for one test of a cure, more on a busy machine; it needs about three
MOST_TESTS = 5  # of one cure
TEST_ONLY = ("-o", "timeout_func_only=true")  # else it may end while pytest writes down why a test failed
HEADINGS = "Symptom|What |The fix|Try it|Can a config|How far|Tests"  # of a pitfall's page, in bold
SECTIONS = ("What the processes do", "The fix")

Which = Literal["broken", "fixed"]


def folder(step: Step, server: Server) -> Path:
    """The learner's folder of `server`. It has the depth of a step's, so that INIs find other steps the same way."""
    return workspace.work() / f"{step.number}_{server.name}"


def started_folder(step: Step, server: Server) -> Path:
    """Raises: WorkspaceError where it was not started."""
    path = folder(step, server)
    if not path.is_dir():
        raise WorkspaceError(
            f"{workspace.shown(path)} is not there yet; make it with: ./lab start {step.number} {server.number}"
        )
    return path


def start(step: Step, server: Server, *, solved: bool = False) -> bool:
    """Make the learner's folder unless it is there; with `solved`, cure it unless it was touched.

    Returns whether anything was written.
    """
    target = folder(step, server)
    if target.exists() and not (solved and is_untouched(step, server)):
        return False
    write(step, server, target, "fixed" if solved else "broken")
    return True


def reset(step: Step, server: Server) -> Path:
    """Make the folder as it was at first. Returns the backup of what was replaced."""
    target = started_folder(step, server)
    kept = workspace.backup(target)
    shutil.rmtree(target)
    write(step, server, target)
    return kept


def write(step: Step, server: Server, target: Path, which: Which = "broken") -> None:
    for name, text in files(step, server, target, which).items():
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        (target / name).write_text(text)


def is_untouched(step: Step, server: Server) -> bool:
    return holds(step, server, "broken")


def is_given(step: Step, server: Server) -> bool:
    """Whether the folder has the solution as `start` writes it."""
    return holds(step, server, "fixed")


def holds(step: Step, server: Server, which: Which) -> bool:
    target = started_folder(step, server)
    expected = files(step, server, target, which).items()
    return all((target / name).is_file() and (target / name).read_bytes() == text.encode() for name, text in expected)


# --- the files


def variants(step: Step, server: Server) -> dict[Which, list[str]]:
    """The INIs of the broken and of the fixed variant, as many of each: a backend that only the fixed one has is idle
    beside the broken one."""
    broken, fixed = (list(step.variant(f"{server.pitfall}_{which}").inis) for which in ("broken", "fixed"))
    return {"broken": fixed[: len(fixed) - len(broken)] + broken, "fixed": fixed}


def inis(step: Step, server: Server) -> tuple[str, ...]:
    """What the learner's INIs are called."""
    count = len(variants(step, server)["fixed"])
    return tuple(f"{role}.ini" for role in ROLES[-count:])


def files(step: Step, server: Server, target: Path, which: Which) -> dict[str, str]:
    """All files of a server that stands in `target`, sick or cured: text by path."""
    django = project(step)
    found = {path.name: neutral.without_comments(path.read_text()) for path in step.folder.glob("_*.ini")}
    found |= {name: read(step, name) for name in helpers(step)}
    wanted = {name: name for name in ROUTED_VIEW.findall((django / "urls.py").read_text())}
    for source, name in zip(variants(step, server)[which], inis(step, server), strict=True):
        text, role = read(step, source), name.removesuffix(".ini")
        found[name] = neutral.neutral_ini(text, role)
        wanted |= dict.fromkeys(neutral.chosen_views(text), neutral.SUBSCRIBE)
        found |= apps(step, text, role)
    for path in sorted(django.glob("*.py")):
        kept = wanted if path.name == "views.py" else None
        found[f"{django.name}/{path.name}"] = neutral.neutral_python(path.read_text(), kept)
    return {name: from_there(text, target) if name.endswith(".ini") else text for name, text in found.items()}


def project(step: Step) -> Path:
    return next(step.folder.glob("*/settings.py")).parent


def read(step: Step, name: str) -> str:
    return (step.folder / name).read_text()


def helpers(step: Step) -> set[str]:
    """The modules that apps of the step import. Some cures need one, so every server has it."""
    imported = {name for path in step.folder.glob("*.py") for name in IMPORTED.findall(path.read_text())}
    return {path.name for path in step.folder.glob("*.py") if path.stem in imported}


def apps(step: Step, ini: str, role: str) -> Iterator[tuple[str, str]]:
    """The apps and scripts beside an INI, called after its role."""
    entry = next(iter(neutral.CALLABLE.findall(ini)), neutral.APPLICATION)
    for name, ending in neutral.APP_FILE.findall(ini):
        text = read(step, name + ending)
        is_python = ending == ".py"
        yield (
            role + ending,
            neutral.neutral_python(text, {entry: neutral.APPLICATION}) if is_python else neutral.without_comments(text),
        )


def from_there(ini: str, target: Path) -> str:
    """An INI of the step, for `target`: other steps and the harness are where the repository is."""
    root = os.path.relpath(ROOT, target)
    return OWN_STEPS.sub(f"%d{root}/steps/", OWN_ROOT.sub(f"%d{root}", ini))


def from_step(ini: str, source: Path) -> str:
    """An INI of `source`, for a step's folder."""
    root = os.path.relpath(ROOT, source)
    return ini.replace(f"%d{root}/steps/", "%d../").replace(f"%d{root}", "%d../..")


def has_users(step: Step, server: Server) -> bool:
    """Whether its front is the step's Django, in which the demo users log in."""
    front = variants(step, server)["broken"][-1]
    return f"{project(step).name}/wsgi.py" in read(step, front)


# --- run, check


def as_step(step: Step, server: Server) -> Step:
    """The server as a step with one variant, to run from the learner's folder."""
    programs = step.variant(f"{server.pitfall}_broken").programs
    variant = Variant(server.name, inis(step, server), server.complaint, programs=programs)
    return replace(step, folder=started_folder(step, server), title=str(server), variants=(variant,))


@contextmanager
def as_fixed(step: Step, server: Server) -> Iterator[Step]:
    """A copy of the step whose fixed variant consists of the learner's files."""
    source = started_folder(step, server)
    with sandbox(step) as copy:
        if step.variant(f"{server.pitfall}_fixed").programs:  # PostgreSQL refuses to be root, and must pass through
            copy.folder.parents[1].chmod(0o711)
        for name in inis(step, server):
            if not (source / name).is_file():
                raise CheckError(
                    f"{workspace.shown(source / name)} is gone;"
                    f" get it back with: ./lab reset {step.number} {server.number} (it keeps a copy)"
                )
        for path in sorted(source.rglob("*.py")):
            check_syntax(path)
        shutil.copytree(source, copy.folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns(".run", "__pycache__"))
        for path in copy.folder.glob("*.ini"):
            path.write_text(from_step(path.read_text(), source))
        for name, other in zip(inis(step, server), variants(step, server)["fixed"], strict=True):
            os.replace(copy.folder / name, copy.folder / other)
        yield copy


def check(step: Step, server: Server) -> Verdict:
    """The verdict of the cure's own tests on the learner's files. Its lines name no pitfall.

    Raises: WorkspaceError, CheckError: the learner's files cannot be tested.
    """
    seconds = TEST_S * (scaled(1) if os.environ.get(VARIABLE) else load_factor())
    with as_fixed(step, server) as copy:
        arguments = [*TEST_ONLY, "-x", "-k", f"{server.pitfall}_fixed", str(steps_folder() / step.name / "tests")]
        run = run_pytest(copy, arguments, seconds_each=seconds, seconds_for_all=seconds * MOST_TESTS)
    rows = list(run.results.values()) or [UNENDED_ROW] * run.cut
    if not rows:
        raise CheckError(f"the test of {server} did not run; pytest says:\n{run.log}")
    for outcome in (UNENDED, "failed", "passed", "skipped"):
        if found := [[*row["lines"], *row["log"]] for row in rows if row["outcome"] == outcome]:
            break
    no_end = ["called the test of the cure", f"got no end of it within {seconds:.0f} s", "expected an answer"]
    lines = no_end if outcome == UNENDED else found[0]
    neutral_lines = tuple(neutral_line(step, server, line) for line in lines)
    return Verdict(
        server.name, "failed" if outcome == UNENDED else outcome, () if outcome == "passed" else neutral_lines
    )


def neutral_line(step: Step, server: Server, line: str) -> str:
    """`line` with the learner's names for the files of the fixed variant."""
    for name, other in zip(inis(step, server), variants(step, server)["fixed"], strict=True):
        stem = re.escape(other.removesuffix(".ini"))
        line = re.sub(rf"\b{stem}(?=\.ini|-stats)", name.removesuffix(".ini"), line)
    return line.replace(f"{server.pitfall}_fixed", str(server)).replace(server.pitfall, str(server))


# --- hints


def hints(step: Step, server: Server) -> tuple[str, ...]:
    """From the symptom to the tool, to the cause, to the fix: the parts of the pitfall's page."""
    page = read(step, f"{server.pitfall}.md")
    return (section(page, "Symptom"), server.tool.strip(), *(section(page, name) for name in SECTIONS))


def section(page: str, name: str) -> str:
    """What the page says below ``**name``, without links: pages name other pitfalls."""
    found = re.search(rf"^\*\*{name}.*?(?=^\*\*(?:{HEADINGS})|\Z)", page, re.MULTILINE | re.DOTALL)
    assert found, name
    return re.sub(r"\[([^]]+)\]\([^)]+\)", r"\1", found[0]).strip()
