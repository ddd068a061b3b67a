"""What a notebook needs to drive the stages and to show what they did; the only module that knows Jupyter."""

import ast
import difflib
import html
import io
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from IPython.core.getipython import get_ipython
from IPython.display import display
from matplotlib.figure import Figure
from pygments import highlight  # type: ignore[import-untyped]
from pygments.formatters import HtmlFormatter  # type: ignore[import-untyped]
from pygments.lexers import get_lexer_for_filename  # type: ignore[import-untyped]
from rich import box
from rich.console import Console
from rich.table import Table

from . import doctor, figures, figures_lesson, manifest, measure, report
from .altered import altered as altered
from .clients import ping
from .engine import ROOT
from .errors import LabError, Unknown
from .guesses import counts_as_guess, keep_guess, results
from .manifest import Step
from .recording import Recording
from .stage import Stage
from .uwsgi import LOOPBACK

DPI = 200
BAR_CELLS = 40
GET_IN_S = 5.0
CONTEXT_LINES = 1
# both on white, with signs as well as colours: the same in a light and in a dark JupyterLab, and on paper
FRAME = "background:#ffffff;color:#222222;border:1px solid #bbbbbb;padding:8px 12px;margin:0;overflow-x:auto;"
MONO = "font-family:'DejaVu Sans Mono',Menlo,Consolas,monospace;font-size:13px;line-height:1.45;white-space:pre;"
DIFF_STYLES = {"+": "background:#cfe8fc;color:#002f4d;", "-": "background:#fbe0cc;color:#5c2300;", " ": ""}


# --- run


@contextmanager
def progress(title: str) -> Iterator[Callable[[float], None]]:
    """A bar of text under the cell, that works wherever a notebook is executed: call it with the share done, 0 to 1."""

    def line(share: float) -> dict[str, str]:
        done = round(share * BAR_CELLS)
        return {"text/plain": f"{title:<28} {'█' * done}{'░' * (BAR_CELLS - done)} {share:4.0%}"}

    bar = show_bundle(line(0), display_id=True)
    yield lambda share: bar.update(line(share), raw=True)
    bar.update(line(1), raw=True)


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
        return replace(measure.SCENARIOS[stage.step.scenario](stage, progress=done, **how), variant=name)


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
    words = "no guess" if guess is None else f"{figures_lesson.verdict(guess, measured)}: {guess:g} {unit}"
    figure = draw(guess) if draw else figures_lesson.guess_beside(guess, measured, unit)
    show(figure, f"{words}; measured {measured:g} {unit}")


def picture(*recordings: Recording) -> None:
    """The signature picture of `recordings`, one above the other."""
    rows = [report.summarise(recording) for recording in recordings]
    words = [f"{row.variant}: {row.answered_meanwhile} of {row.asked} answered meanwhile" for row in rows]
    show(figures.signature(recordings), "; ".join(words))


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
        middle = [sample for sample in one.samples if figures.during(one, sample)]
        held = [sample.holder for sample in middle if sample.holder]
        threads = {who["tid"] for who in held if who["tid"] is not None}
        busy = sum(figures.front_busy(sample) for sample in middle)
        rows.add_row(
            one.variant,
            f"PID {figures.front_pids(one)}",
            ", ".join(f"PID {pid}" for pid in sorted({str(who["pid"]) for who in held})) or "no process",
            f"{', '.join(map(str, threads))}: {figures.carrier(one)}" if threads else "none, or not told here",
            f"busy in {busy} of {len(middle)} looks",
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
    coloured = highlight(code, get_lexer_for_filename(file), HtmlFormatter(noclasses=True, nowrap=True))
    caption = f"steps/{folder.name}/{file}" + (f": {name}" if name else "")
    show_bundle({"text/html": framed(caption, coloured), "text/plain": f"{caption}\n{code}"})


def read(path: Path) -> str:
    """Raises Unknown with the nearest match for a file that is not there."""
    if not path.is_file():
        known = sorted(one.name for one in path.parent.iterdir() if one.is_file())
        raise Unknown(f"file in {path.parent.name}", path.name, known, manifest.nearest(path.name, known))
    return path.read_text()


def definition(text: str, name: str) -> str:
    """The source of the function, class or assignment `name`, its decorators included. Raises LabError."""
    for node in ast.parse(text).body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and node.name == name:
            first = min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)])
            return "\n".join(text.splitlines()[first - 1 : node.end_lineno])
    raise LabError(f"nothing called {name!r} is defined there")


def framed(caption: str, body: str) -> str:
    head = f'<div style="{FRAME}border-bottom:0;font-weight:bold;font-size:13px;">{html.escape(caption)}</div>'
    return f'{head}<pre style="{FRAME}{MONO}">{body}</pre>'


# --- show


def show(figure: Figure, words: str) -> None:
    """`figure` under the cell; `words` for those who cannot see it."""
    image = io.BytesIO()
    figure.savefig(image, format="png", dpi=DPI)
    width = round(figure.get_figwidth() * 96)
    show_bundle({"image/png": image.getvalue(), "text/plain": words}, {"image/png": {"width": width, "alt": words}})


def screenshot(name: str, made_by: str) -> None:
    """The picture that a browser test kept in results/screenshots, or one line that says how to get it."""
    path = results() / "screenshots" / name
    if not path.exists():
        print(f"no picture yet: {made_by} keeps one (with Chromium: apt-get install chromium)")
        return
    show_bundle({"image/png": path.read_bytes(), "text/plain": name}, {"image/png": {"width": 760, "alt": name}})


def show_table(rows: Table) -> None:
    """The same table that a terminal shows, on white."""
    console = Console(file=io.StringIO(), record=True, width=124, force_jupyter=False)
    rows.box = box.SIMPLE_HEAD  # a browser leaves gaps between the pieces of upright lines
    console.print(rows)
    plain = console.export_text(clear=False).rstrip()
    page = console.export_html(inline_styles=True, code_format="{code}").rstrip()
    show_bundle({"text/html": f'<pre style="{FRAME}{MONO}line-height:1.2;">{page}</pre>', "text/plain": plain})


def show_bundle(data: dict[str, Any], metadata: dict[str, Any] | None = None, **how: Any) -> Any:
    show_it: Any = display
    return show_it(data, metadata=metadata, raw=True, **how)


# --- what is here


def machine() -> None:
    """What the course can use on this machine, which uWSGI first of all."""
    rows = Table("part", "here", "needed for")
    for it in doctor.examine():
        rows.add_row(it.part, it.found or f"missing; get it with: {it.install}", it.purpose)
    show_table(rows)


def lessons() -> None:
    """The course as it stands: each step, the minutes it takes, and its notebook where there is one."""
    lines = ["| step | what it shows | minutes | notebook |", "|---|---|---|---|"]
    for step in manifest.steps():
        notebook = f"{step.name}.ipynb"
        link = f"[{notebook}]({notebook})" if (ROOT / "notebooks" / notebook).exists() else "not yet"
        lines.append(f"| {step.number} | {step.title} | {step.minutes} | {link} |")
    show_bundle({"text/markdown": "\n".join(lines), "text/plain": "\n".join(lines)})


def show_lab_errors_plainly(shell: Any) -> None:
    """A LabError says what to do; a traceback would hide it."""

    def plainly(_shell: Any, _kind: type[LabError], error: LabError, _trace: Any, tb_offset: Any = None) -> None:
        print(f"{type(error).__name__}: {error}")

    shell.set_custom_exc((LabError,), plainly)


if (shell := get_ipython()) is not None:
    show_lab_errors_plainly(shell)
