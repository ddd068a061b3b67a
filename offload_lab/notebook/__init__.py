"""For the notebooks: run stages, and show what they did. Only this package imports Jupyter."""

import ast
import difflib
import html
import socket
import textwrap
import traceback
from collections.abc import Callable, Sequence
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
from offload_lab.exercises.diagnose import in_short
from offload_lab.measure import report, scenarios
from offload_lab.measure.guesses import keep_guess, why_no_guess
from offload_lab.measure.model import Recording
from offload_lab.paths import ROOT
from offload_lab.plots import guesses, timeline
from offload_lab.process.deadlines import LOOPBACK
from offload_lab.stages import manifest
from offload_lab.stages.lesson import load_lesson
from offload_lab.stages.overrides import altered as altered
from offload_lab.stages.stage import Stage
from offload_lab.stages.step import Step
from offload_lab.system import no_thread_waits

from . import answers
from .answers import reveal as reveal
from .display import DIFF_STYLES, continued, framed, progress, show, show_bundle, show_source, show_table
from .exercises import magic
from .exercises import show_gap as show_gap
from .live import live as live
from .live import live_recording as live_recording
from .live import replay as replay

CONNECT_S = 5.0
RUN_FROM_THE_TOP = (
    "If a cell above makes it, run that one first (menu: Run, Run All Above Selected Cell). If it was meant as a guess:"
    " a guess is a number, such as 5 or 0.5."
)
CONTEXT_LINES = 1
SIGN = 2  # characters before a line of a difference


def lesson(step: str, module: str = "notebook") -> ModuleType:
    """The module of the step's ``lesson/`` folder, by default its notebook's helpers.

    Raises: UnknownNameError where there is no such step.
    """
    return load_lesson(manifest.find(step), module)


# --- run


def record(
    step: str | Step,
    variant: str,
    *,
    called: str | None = None,
    placeholders: dict[str, str] | None = None,
    **options: Any,
) -> Recording:
    """Start the variant, run the scenario of its step (`measure.SCENARIOS`), stop the variant.

    `called`: its name in pictures and tables, by default its own. `placeholders`: for its INIs. `options`: for the
    scenario (``slow_s``, ``rate_mib_s``; ``count``, ``open_s``).
    """
    name = called or variant
    with progress(name) as done, Stage(step, variant, placeholders=placeholders) as stage:
        return replace(scenarios.SCENARIOS[stage.step.scenario](stage, progress=done, **options), variant=name)


def served_beside(stage: Stage, slow_clients: int, within_s: float = 1.0) -> bool:
    """Whether /ping answers within `within_s` seconds beside clients that ask for the file and read nothing."""
    with ExitStack() as exits, suppress(TimeoutError):
        for _ in range(slow_clients):  # if the listen queue is full, the kernel tries again a second later
            client = exits.enter_context(socket.create_connection((LOOPBACK, stage.port), timeout=CONNECT_S))
            client.sendall(f"GET {stage.step.path} HTTP/1.0\r\n\r\n".encode())
        return ping(stage.port, timeout_s=within_s).status == 200
    return False


def check(*rows: tuple[str, str, str, bool, str]) -> None:
    """Print each row as called, got and expected; then the hint of the first row that is not good."""
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
    """Show guess and result on one picture: that of `draw`, which gets the guess, by default two numbers on a line.

    The guess is saved for the last notebook. Without one nothing is shown, unless `reveal` was called.
    """
    if wrong := why_no_guess(guess):
        print(wrong)
        guess = None
    if guess is None:
        answers.ask()
        if not answers.is_revealed():
            print(f"You made no guess yet. {answers.NUMBERS}")
            return
    else:
        answers.answered()
        keep_guess(notebook, question, guess, measured, unit)
    text = "no guess" if guess is None else f"{guesses.verdict(guess, measured)}: {guess:g} {unit}"
    figure = draw(guess) if draw else guesses.guess_beside(guess, measured, unit)
    show(figure, f"{text}; measured {measured:g} {unit}")


def beside(guess: object, measured: object) -> str:
    """A small guess beside the result, which stays hidden without a guess."""
    if guess is not None:
        return f"got {measured}, you expected {guess}"
    return f"got {measured}, not guessed" if answers.is_revealed() else "not guessed: write a number in place of None"


def picture(*recordings: Recording) -> None:
    """The signature picture of `recordings`, one above the other."""
    rows = [report.summarise(recording) for recording in recordings]
    texts = [f"{row.variant}: {row.answered_meanwhile} of {row.asked} answered meanwhile" for row in rows]
    show(timeline.signature(recordings), "; ".join(texts))


def table(*recordings: Recording) -> None:
    """The numbers of `recordings`, as the demo prints them, compared with the reference, else with the last."""
    *earlier, last = recordings
    last = replace(last, reference=last.reference or not any(recording.reference for recording in earlier))
    show_table(report.table([*earlier, last]))


def mechanism(*recordings: Recording) -> None:
    """For each recording: the process and thread that had the socket, and uWSGI's own counters."""
    rows = Table(
        "variant", "worker", "socket held by", "thread that waits on it", "worker's state", "offloaded_requests"
    )
    for recording in recordings:
        middle = [sample for sample in recording.seen if timeline.during(recording, sample)]
        held = [sample.holder for sample in middle if sample.holder]
        threads = {holder["tid"] for holder in held if holder["tid"] is not None}
        busy = sum(timeline.front_busy(sample) for sample in middle)
        rows.add_row(
            recording.variant,
            f"PID {timeline.front_pids(recording)}",
            ", ".join(f"PID {pid}" for pid in sorted({str(holder["pid"]) for holder in held})) or "no process",
            f"{', '.join(map(str, threads))}: {timeline.owner(recording)}" if threads else no_thread_waits(),
            f"busy in {busy} of {len(middle)} samples" + f", {len(recording.gaps)} failed" * bool(recording.gaps),
            f"+{report.offloaded(recording)}",
        )
    show_table(rows)


# --- read


def show_diff(step: str, old: str, new: str) -> None:
    """The diff from `old` to `new`, both files of `step`, with CONTEXT_LINES around."""
    if answers.hides("the difference", code=True):
        return
    folder = manifest.find(step).folder
    before, after = (read(folder / name).splitlines() for name in (old, new))
    lines = list(difflib.unified_diff(before, after, n=CONTEXT_LINES, lineterm=""))[2:]
    lines = ["  ⋯" if line.startswith("@@") else f"{line[0]} {line[1:]}" for line in lines]
    styles = [DIFF_STYLES[line[0]] + continued(line, SIGN) for line in lines]
    rows = "".join(f'<div style="{style}">{html.escape(line)}</div>' for style, line in zip(styles, lines, strict=True))
    caption = f"steps/{folder.name}: {old} → {new}"
    show_bundle({"text/html": framed(caption, rows), "text/plain": "\n".join([caption, *lines])})


def show_code(step: str, file: str, name: str | None = None) -> None:
    """The step's real `file`, or only the function or class called `name` in it."""
    if answers.hides("the code", code=True):
        return
    folder = manifest.find(step).folder
    text = read(folder / file)
    code = text if name is None else definition(text, name)
    show_source(f"steps/{folder.name}/{file}" + (f": {name}" if name else ""), file, code)


def show_lines(step: str, file: str, *beginnings: str) -> None:
    """Of the step's INI `file` only the lines that begin with one of `beginnings`, and the comments above them."""
    if answers.hides("the lines", code=True):
        return
    folder = manifest.find(step).folder
    shown: list[str] = []
    comments: list[str] = []
    for line in read(folder / file).splitlines():
        if line.startswith(";"):
            comments.append(line)
            continue
        if line.startswith(beginnings):
            shown += [*comments, line]
        comments = []
    show_source(f"steps/{folder.name}/{file}, some of its lines", file, "\n".join(shown))


def read(path: Path) -> str:
    """The text without the marker lines of the exercises.

    Raises: UnknownNameError where there is no such file.
    """
    if not path.is_file():
        known = sorted(other.name for other in path.parent.iterdir() if other.is_file())
        raise UnknownNameError("file", path.name, known, owner=path.parent.name)
    return regions.unmarked(path.read_text())


def definition(text: str, name: str) -> str:
    """The source of the function or class `name` with its decorators; of a method, where it is ``Class.method``.

    Raises: LabError where there is none.
    """
    inside: Sequence[ast.stmt] = ast.parse(text).body
    for part in name.split("."):
        found = [node for node in inside if isinstance(node, ast.FunctionDef | ast.ClassDef) and node.name == part]
        if not found:
            raise LabError(f"no function or class {name!r} is defined there")
        inside = found[0].body
    first = min([found[0].lineno, *(decorator.lineno for decorator in found[0].decorator_list)])
    return textwrap.dedent("\n".join(text.splitlines()[first - 1 : found[0].end_lineno]))


# --- what is here


def machine() -> None:
    """What this machine has for the course."""
    rows = Table("part", "here", "needed for")
    for part in doctor.examine():
        rows.add_row(part.name, part.found or f"missing; install it with: {part.install}", part.purpose)
    show_table(rows)


def lessons() -> None:
    """The notebooks of each step of the course, with their minutes."""
    lines = ["| notebook | what it shows | minutes | |", "|---|---|---|---|"]
    for step in manifest.steps():
        for place, (name, minutes) in enumerate(step.notebooks.items()):
            title = f"{step.title}: second part" if place else step.title
            lines.append(f"| {name.partition('_')[0]} | {title} | {minutes} | [{name}.ipynb]({name}.ipynb) |")
    review = max(path.name for path in (ROOT / "notebooks").glob("*.ipynb"))
    lines.append(f"| | Your guesses, and what was measured | 8 | [{review}]({review}) |")
    show_bundle({"text/markdown": "\n".join(lines), "text/plain": "\n".join(lines)})


def set_up(shell: Any) -> None:
    """Register ``%%your_turn``; print a LabError without its traceback, and what to do where a cell ran too early."""

    def plainly(_shell: Any, kind: type[Exception], error: Exception, trace: Any, tb_offset: Any = None) -> None:
        if isinstance(error, LabError):
            print(f"{kind.__name__}: {in_short(error)}")
        elif traceback.extract_tb(trace)[-1].name == "<module>":
            print(f"{error}. {RUN_FROM_THE_TOP}")
        else:
            shell.showtraceback((kind, error, trace), tb_offset=tb_offset)

    shell.set_custom_exc((LabError, NameError), plainly)
    shell.register_magic_function(magic, "cell", "your_turn")


if (shell := get_ipython()) is not None:
    set_up(shell)
