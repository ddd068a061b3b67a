"""What a notebook needs to drive the stages and to show what they did; this package alone knows Jupyter."""

import ast
import difflib
import html
import socket
from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

from IPython.core.getipython import get_ipython
from matplotlib.figure import Figure
from rich.table import Table

from offload_lab import doctor
from offload_lab.clients import ping
from offload_lab.errors import LabError, UnknownNameError
from offload_lab.exercises import regions
from offload_lab.measure import report, scenarios
from offload_lab.measure.guesses import counts_as_guess, keep_guess
from offload_lab.measure.model import Recording
from offload_lab.paths import ROOT
from offload_lab.plots import guesses, timeline
from offload_lab.process.deadlines import LOOPBACK
from offload_lab.stages import manifest
from offload_lab.stages.lesson import load_lesson
from offload_lab.stages.manifest import Step
from offload_lab.stages.overrides import altered as altered
from offload_lab.stages.stage import Stage

from .display import DIFF_STYLES, framed, progress, show, show_bundle, show_source, show_table
from .display import screenshot as screenshot
from .exercises import magic
from .exercises import show_gap as show_gap

GET_IN_S = 5.0
CONTEXT_LINES = 1


def lesson(step: str, module: str = "notebook") -> ModuleType:
    """What the notebook about `step` needs beside this module. Raises UnknownNameError for a step that there is not."""
    return load_lesson(manifest.find(step), module)


# --- run


def record(
    step: str | Step,
    variant: str,
    *,
    called: str | None = None,
    placeholders: dict[str, str] | None = None,
    **how: Any,
) -> Recording:
    """Start the variant, take the measurement that its step names (`measure.SCENARIOS`), stop the variant.

    `called` is its name in pictures and tables, if not its own. `placeholders` reach its INI; `how` reaches
    the measurement (``slow_s``, ``rate_mib_s``; ``count``, ``open_s``).
    """
    name = called or variant
    with progress(name) as done, Stage(step, variant, placeholders=placeholders) as stage:
        return replace(scenarios.SCENARIOS[stage.step.scenario](stage, progress=done, **how), variant=name)


def served_beside(stage: Stage, visitors: int, within_s: float = 1.0) -> bool:
    """Whether somebody is served at /ping while `visitors` others ask for the file and take nothing of it."""
    with ExitStack() as hall, suppress(TimeoutError):
        for _ in range(
            visitors
        ):  # a connection that comes upon a full queue is tried again by the kernel, a second later
            visitor = hall.enter_context(socket.create_connection((LOOPBACK, stage.port), timeout=GET_IN_S))
            visitor.sendall(f"GET {stage.step.path} HTTP/1.0\r\n\r\n".encode())
        return ping(stage.port, timeout_s=within_s).status == 200
    return False


def check(*rows: tuple[str, str, str, bool, str]) -> None:
    """Print what was called, what it got and what was expected, row by row; then the first hint that is needed."""
    for called, got, expected, good, _ in rows:
        print(f"{'ok ' if good else 'NOT'} called {called}, got {got}, expected {expected}")
    hints = [hint for *_, good, hint in rows if not good]
    print(f"Not yet. {hints[0]}" if hints else "Passed.")


# --- see


def guess_and_see(
    guess: float | None,
    measured: float,
    unit: str,
    notebook: str,
    question: str,
    draw: Callable[[float | None], Figure] | None = None,
) -> None:
    """Guess and result on one picture: that of `draw`, which gets the guess, else two numbers on a line.

    A guess is also written down, for the comparison at the end of the course.
    """
    if guess is not None and not counts_as_guess(guess):
        print(f"{guess!r} is no number, so it does not count as a guess. Write one like 5 or 0.5, without its unit.")
        guess = None
    if guess is None:
        print("You made no guess. Write a number into the guess cell and run the notebook again: being wrong helps.")
    else:
        keep_guess(notebook, question, guess, measured, unit)
    words = "no guess" if guess is None else f"{guesses.verdict(guess, measured)}: {guess:g} {unit}"
    figure = draw(guess) if draw else guesses.guess_beside(guess, measured, unit)
    show(figure, f"{words}; measured {measured:g} {unit}")


def picture(*recordings: Recording) -> None:
    """The signature picture of `recordings`, one above the other."""
    rows = [report.summarise(recording) for recording in recordings]
    words = [f"{row.variant}: {row.answered_meanwhile} of {row.asked} answered meanwhile" for row in rows]
    show(timeline.signature(recordings), "; ".join(words))


def table(*recordings: Recording) -> None:
    """The numbers of `recordings`, as the demo prints them; compared with the last where none is the reference."""
    *others, last = recordings
    last = replace(last, reference=last.reference or not any(one.reference for one in others))
    show_table(report.table([*others, last]))


def mechanism(*recordings: Recording) -> None:
    """How it was done rather than how long it took: whose socket, which thread, and what uWSGI's own stats said."""
    rows = Table(
        "variant", "worker", "socket held by", "thread that waits on it", "worker's state", "offloaded_requests"
    )
    for one in recordings:
        middle = [sample for sample in one.seen if timeline.during(one, sample)]
        held = [sample.holder for sample in middle if sample.holder]
        threads = {who["tid"] for who in held if who["tid"] is not None}
        busy = sum(timeline.front_busy(sample) for sample in middle)
        rows.add_row(
            one.variant,
            f"PID {timeline.front_pids(one)}",
            ", ".join(f"PID {pid}" for pid in sorted({str(who["pid"]) for who in held})) or "no process",
            f"{', '.join(map(str, threads))}: {timeline.carrier(one)}" if threads else "none, or not told here",
            f"busy in {busy} of {len(middle)} looks" + f", {len(one.gaps)} failed" * bool(one.gaps),
            f"+{report.offloaded(one)}",
        )
    show_table(rows)


# --- read


def show_diff(step: str, old: str, new: str) -> None:
    """What `new` changes in `old`, both files of `step`: the lines that differ and their nearest neighbours."""
    folder = manifest.find(step).folder
    before, after = (read(folder / name).splitlines() for name in (old, new))
    lines = list(difflib.unified_diff(before, after, n=CONTEXT_LINES, lineterm=""))[2:]
    lines = ["  ⋯" if line.startswith("@@") else f"{line[0]} {line[1:]}" for line in lines]
    rows = "".join(f'<div style="{DIFF_STYLES[line[0]]}">{html.escape(line)}</div>' for line in lines)
    caption = f"steps/{folder.name}: {old} → {new}"
    show_bundle({"text/html": framed(caption, rows), "text/plain": "\n".join([caption, *lines])})


def show_code(step: str, file: str, name: str | None = None) -> None:
    """The step's real `file`, or only the function or class called `name` in it."""
    folder = manifest.find(step).folder
    text = read(folder / file)
    code = text if name is None else definition(text, name)
    show_source(f"steps/{folder.name}/{file}" + (f": {name}" if name else ""), file, code)


def read(path: Path) -> str:
    """Without the marker lines of the exercises.

    Raises: UnknownNameError with the nearest match for a file that is not there.
    """
    if not path.is_file():
        known = sorted(one.name for one in path.parent.iterdir() if one.is_file())
        raise UnknownNameError(f"file in {path.parent.name}", path.name, known, manifest.nearest(path.name, known))
    return regions.unmarked(path.read_text())


def definition(text: str, name: str) -> str:
    """The source of the function, class or assignment `name`, its decorators included. Raises LabError."""
    for node in ast.parse(text).body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and node.name == name:
            first = min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)])
            return "\n".join(text.splitlines()[first - 1 : node.end_lineno])
    raise LabError(f"nothing called {name!r} is defined there")


# --- what is here


def machine() -> None:
    """What the course can use on this machine, which uWSGI first of all."""
    rows = Table("part", "here", "needed for")
    for it in doctor.examine():
        rows.add_row(it.name, it.found or f"missing; get it with: {it.install}", it.purpose)
    show_table(rows)


def lessons() -> None:
    """The course as it stands: each step, the minutes it takes, and its notebook where there is one."""
    lines = ["| step | what it shows | minutes | notebook |", "|---|---|---|---|"]
    for step in manifest.steps():
        notebook = f"{step.name}.ipynb"
        link = f"[{notebook}]({notebook})" if (ROOT / "notebooks" / notebook).exists() else "not yet"
        lines.append(f"| {step.number} | {step.title} | {step.minutes} | {link} |")
    review = max(path.name for path in (ROOT / "notebooks").glob("*.ipynb"))
    lines.append(f"| | Your guesses, and what was measured | 5 | [{review}]({review}) |")
    show_bundle({"text/markdown": "\n".join(lines), "text/plain": "\n".join(lines)})


def set_up(shell: Any) -> None:
    """Know ``%%your_turn``, and print a LabError alone: it says what to do, and a traceback would hide it."""

    def plainly(_shell: Any, _kind: type[LabError], error: LabError, _trace: Any, tb_offset: Any = None) -> None:
        print(f"{type(error).__name__}: {error}")

    shell.set_custom_exc((LabError,), plainly)
    shell.register_magic_function(magic, "cell", "your_turn")


if (shell := get_ipython()) is not None:
    set_up(shell)
