"""./lab start, check, watch, reset: a learner's folder, and whether its answers are right."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import datetime
from pathlib import Path

import click

from offload_lab.errors import LabError
from offload_lab.exercises import check as checks
from offload_lab.exercises import progress, workspace
from offload_lab.exercises.sandbox import solutions
from offload_lab.exercises.servers import folder as server_folder
from offload_lab.exercises.servers import reset as reset_server
from offload_lab.process.deadlines import Deadline
from offload_lab.stages import manifest
from offload_lab.stages.step import Step, Task

from . import servers
from .console import out, say
from .needs import needs
from .run import DEFAULT_PORT, Port

POLL_S = 0.3  # of the files' times
OUTCOMES = {
    "passed": "[green]passed[/]",
    "failed": "[red]not yet[/]",
    "skipped": "[yellow]cannot be tested here[/]",
}


def find(word: str) -> Step:
    """The step that `word` names, or whose folder it is.

    Raises: LabError where the step has no exercises.
    """
    step = manifest.find(Path(word).name)
    if not step.exercises:
        having = ", ".join(other.number for other in manifest.steps() if other.exercises)
        raise LabError(f"{step.name} has no tasks; these steps have: {having}")
    return step


# --- start, reset


@click.command(epilog="Example: ./lab start 01")
@click.argument("step")
@click.argument("server", required=False)
@click.option(
    "--from-solution",
    is_flag=True,
    help="Fill in what is still blank, to continue from there: it counts as given. Your own lines stay.",
)
@click.option(
    "--port",
    type=Port(),
    metavar="NUMBER|auto",
    default=DEFAULT_PORT,
    show_default=True,
    help="Of a SERVER, its front's; auto: a free one, and the tunnel to it.",
)
def start(step: str, server: str | None, from_solution: bool, port: int | None) -> None:
    """Copy STEP to work/, with blanks to fill in; or run a sick SERVER of it.

    A step of pitfalls has servers in place of blanks: without SERVER, all are made, and listed with their complaints.
    """
    found = find(step)
    if found.servers:
        servers.start(found, server, port, solved=from_solution)
        return
    if server:
        raise click.UsageError(f"{found.name} has no servers; begin all of it: ./lab start {found.number}")
    target, given = workspace.start(found, solved=from_solution)
    progress.record_given(found, given)
    out.print(f"[bold]{workspace.shown(target)}[/]: {found.title}", soft_wrap=True)
    for number, task in enumerate(found.tasks, 1):
        state = task.kind if not from_solution else "given" if task in given else "yours, as it is"
        say(f"{number}. {task.name} ({state}, in {task.file}): {task.title}", indent="  ")
    for what, command in (
        ("what it is about", f"steps/{found.name}/README.md"),
        ("test it", f"./lab check {found.number}"),
        ("at each save", f"./lab watch {found.number}"),
        ("stuck", f"./lab hint {found.number}"),
        ("run it yourself", f"./lab run {workspace.shown(target)} {found.tasks[0].variant}"),
    ):
        out.print(f"{what:>16}: [cyan]{command}[/]", soft_wrap=True)


@click.command(epilog="Example: ./lab reset 01 2")
@click.argument("step")
@click.argument("task", required=False)
def reset(step: str, task: str | None) -> None:
    """Put the blanks of STEP back, or of one TASK, and back up your files. Or one sick server."""
    found = find(step)
    if found.servers:
        if not task:
            raise click.UsageError(f"name one server of {found.name}, such as: ./lab reset {found.number} 12")
        chosen = found.server(task)
        say_backup(reset_server(found, chosen))
        progress.forget_given(found, [chosen])
        out.print(f"sick again: {workspace.shown(server_folder(found, chosen))}", soft_wrap=True)
        return
    say_backup(workspace.reset(found, found.task(task) if task else None))
    progress.forget_given(found, [found.task(task)] if task else found.tasks)
    out.print(f"blanks are back: {workspace.shown(workspace.folder(found))} {task or ''}".rstrip(), soft_wrap=True)


def say_backup(kept: Path) -> None:
    out.print(f"your files are backed up in {workspace.shown(kept)}", soft_wrap=True)


# --- check, watch


@click.command(epilog="Example: ./lab check 01")
@click.argument("step")
@click.argument("task", required=False)
def check(step: str, task: str | None) -> None:
    """Test your answers to STEP, task by task, on real processes. Or your cure of one server, or of all you changed.

    Exit status 1 until all pass.
    """
    found = find(step)
    if not checked(found, task)():
        sys.exit(1)


def checked(step: Step, word: str | None) -> Callable[[], bool]:
    """What checks the named task or server of a step that was started, or all; it says whether all passed."""
    task = step.task(word) if word and not step.servers else None  # before anything is installed for a misspelt one
    needs("check")
    if step.servers:
        return lambda: servers.check(step, word)
    workspace.folder(step)
    return lambda: show_check(step, task)


@click.command(epilog="Example: ./lab watch 01 1")
@click.argument("step")
@click.argument("task", required=False)
def watch(step: str, task: str | None) -> None:
    """Check STEP now and at each save of its files, until Ctrl-C."""
    found = find(step)
    show = checked(found, task)
    while True:
        before = saved(found)
        out.print(f"\n{datetime.now():%H:%M:%S}", style="dim")
        try:
            show()
        except LabError as error:
            say(f"error: {error}", style="red")
        out.print("waiting for you to save; Ctrl-C ends it", style="dim")
        while saved(found) == before:
            time.sleep(POLL_S)


def saved(step: Step) -> dict[str, int]:
    """The modification time of each of the learner's files, without hidden and generated ones."""
    found: dict[str, int] = {}
    with suppress(OSError, LabError):  # a reset in another terminal takes the folder away for a moment
        for folder in [server_folder(step, server) for server in step.servers] or [workspace.folder(step)]:
            for path in folder.rglob("*"):
                if path.is_file() and not any(part.startswith((".", "__")) for part in path.relative_to(folder).parts):
                    found[str(path)] = path.stat().st_mtime_ns
    return found


def show_check(step: Step, only: Task | None) -> bool:
    """Print each verdict when its test ends, and the diagnosis of the first failure. True if all passed."""
    all_passed = True
    for verdict in with_status(checks.check(step, only)):
        show_verdict(verdict)
        if verdict.task != checks.TOGETHER:
            task = step.task(verdict.task)
            save_verdict(step, task, verdict)
            if verdict.outcome == "failed":
                if all_passed and verdict.started:
                    show_diagnosis(step, task, verdict.deadline)
                out.print(f"  next: [cyan]./lab hint {step.number} {task.name}[/]", soft_wrap=True)
        all_passed = all_passed and verdict.passed
    if all_passed:
        command = f"./lab solution {step.number} {only.name if only else ''}".rstrip()
        out.print(f"next: [cyan]{command}[/] shows the step's own lines", soft_wrap=True)
    return all_passed


def with_status(verdicts: Iterator[checks.Verdict]) -> Iterator[checks.Verdict]:
    """The verdicts, with a spinner on a terminal until the next one."""
    while True:
        with out.status("testing your files on real processes"):
            verdict = next(verdicts, None)
        if verdict is None:
            return
        yield verdict


def show_verdict(verdict: checks.Verdict) -> None:
    out.print(f"[bold]{verdict.task}[/]: {OUTCOMES[verdict.outcome]}")
    for line in verdict.lines:
        say(line, indent="    ")


def show_diagnosis(step: Step, task: Task, deadline: Deadline | None) -> None:
    with out.status("observing the processes"):
        diagnosis = checks.diagnose_answer(step, task, deadline)
    if diagnosis.sentences:
        out.print("  what the processes do:")
    for sentence in diagnosis.sentences:
        say(sentence, indent="    ")


def save_verdict(step: Step, task: Task, verdict: checks.Verdict) -> None:
    """Save the verdict; a blank does not count as a try."""
    answer = workspace.answer(step, task)
    tried, solution = answer != workspace.blank_lines(task), answer == solutions(step)[task.name]
    say_set_aside(progress.record_check(step, task, passed=verdict.passed, tried=tried, solution=solution))


def say_set_aside(known: progress.Progress) -> None:
    if known.set_aside:
        say(
            f"the record of your progress could not be read; it is now {workspace.shown(known.set_aside)}",
            style="yellow",
        )
