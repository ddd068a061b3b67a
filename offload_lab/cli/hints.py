"""./lab hint, solution, progress: help for a learner, and what is done."""

import difflib
import textwrap
from operator import attrgetter

import click
from rich.markdown import Markdown
from rich.table import Table

from offload_lab.errors import LabError
from offload_lab.exercises import hints, progress, workspace
from offload_lab.exercises.sandbox import solutions
from offload_lab.stages import manifest
from offload_lab.stages.step import Exercise, Server, Step, Task

from .console import out, say
from .exercises import find, say_set_aside
from .servers import show_solution

PASSED, GIVEN = attrgetter("passed"), attrgetter("given")


@click.command(epilog="Example: ./lab hint 01 1")
@click.argument("step")
@click.argument("task", required=False)
def hint(step: str, task: str | None) -> None:
    """Show the next hint for TASK of STEP, by default for the first task that has not passed."""
    found = find(step)
    known = progress.load()
    say_set_aside(known)
    chosen = find_exercise(found, task) if task else hints.first_open(found, known)
    if chosen is None:
        out.print(f"all tasks of {found.name} have passed; name one to see its hints")
        return
    number, text = hints.next_hint(found, chosen)
    out.print(f"[bold]{chosen.name}[/], hint {number} of {len(hints.all_hints(found, chosen))}: {chosen.title}")
    if isinstance(chosen, Server):
        out.print(Markdown(text))
    else:
        show_hint(text)


def find_exercise(step: Step, word: str) -> Exercise:
    return step.server(word) if step.servers else step.task(word)


def show_hint(text: str) -> None:
    """Prose wrapped, fenced code as it is."""
    for number, part in enumerate(text.split("```")):
        if number % 2:
            lines = textwrap.dedent(part.partition("\n")[2]).rstrip()
            out.print(textwrap.indent(lines, "    "), style="cyan", markup=False, soft_wrap=True)
        elif part.strip():
            say(" ".join(part.split()), indent="  ")


@click.command(epilog="Example: ./lab solution 01 1")
@click.argument("step")
@click.argument("task", required=False)
@click.option("--spoil", is_flag=True, help="Even before the task has passed.")
def solution(step: str, task: str | None, spoil: bool) -> None:
    """Show how the step's own lines differ from yours, once your TASK has passed."""
    found = find(step)
    known = progress.load()
    say_set_aside(known)
    chosen = [find_exercise(found, task)] if task else list(found.exercises)
    for wanted in chosen:
        if not (spoil or known.of(found, wanted).passed):
            raise LabError(
                f"{wanted.name} has not passed yet: ./lab check {found.number} {wanted.name}; a hint: ./lab hint"
                f" {found.number} {wanted.name}; the solution nevertheless: --spoil"
            )
    for wanted in chosen:
        if isinstance(wanted, Server):
            show_solution(found, wanted)
        else:
            show_difference(found, wanted)


def show_difference(step: Step, task: Task) -> None:
    yours, ours = workspace.answer(step, task), solutions(step)[task.name]
    out.print(f"[bold]{task.name}[/]: {task.title}")
    if yours == ours:
        out.print("  yours is the same as the step's, line by line")
    names = (workspace.shown(workspace.folder(step) / task.file), f"steps/{step.name}/{task.file}")
    for line in difflib.unified_diff(yours.splitlines(), ours.splitlines(), *names, lineterm=""):
        style = {"+": "green", "-": "red"}.get(line[0], "")
        out.print(line, style=style, markup=False, soft_wrap=True)


@click.command("progress", epilog="Example: ./lab progress")
def show_progress() -> None:
    """Show the tasks that passed, the total, and the next task."""
    known = progress.load()
    say_set_aside(known)
    # 60 columns: the longest name and a date fit without a title for the step and a margin
    table = Table("", "task", "kind", "tries", "hints", "passed", box=None, header_style="bold", pad_edge=False)
    tasks = [(step, task, known.of(step, task)) for step in manifest.steps() for task in step.exercises]
    for step, task, record in tasks:
        passed = record.passed.replace("T", " ") or ("given" if record.given else "not yet")
        hints_taken = f"{record.hints}/{len(hints.all_hints(step, task))}"
        table.add_row(step.number, task.name, task.kind, str(record.tries), hints_taken, passed)
    out.print(table)
    passed_count, given_count = (sum(bool(get(row)) for *_, row in tasks) for get in (PASSED, GIVEN))
    out.print(f"\n{passed_count} of {len(tasks)} tasks passed" + f", {given_count} given" * bool(given_count))
    still_open = [(step, task) for step, task, record in tasks if record.open]
    if still_open:
        show_next(*still_open[0])


def show_next(step: Step, task: Exercise) -> None:
    is_started = isinstance(task, Task) and workspace.is_started(step)
    command = f"check {step.number} {task.name}" if is_started else f"start {step.number}"
    out.print(f"next: [cyan]./lab {command}[/]  {task.title}", soft_wrap=True)
