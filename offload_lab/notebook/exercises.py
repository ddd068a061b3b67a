"""*Your turn* in a notebook: a cell has the lines of a task, which are tested and counted as ``./lab check`` does."""

import ast
import textwrap

from offload_lab.errors import CheckError, LabError
from offload_lab.exercises import hints, progress, regions, workspace
from offload_lab.exercises.check import LIMIT_S, Verdict, try_out
from offload_lab.exercises.diagnose import diagnose
from offload_lab.exercises.sandbox import sandbox, solutions
from offload_lab.process.deadlines import Deadline
from offload_lab.stages import manifest
from offload_lab.stages.step import Step, Task

from .display import progress as bar
from .display import show_source

WIDTH = 80
LINES_BEFORE, LINES_AFTER = 8, 3  # of an INI around a gap
GAP = "▶ your lines"  # as a comment
HINT_FROM_TRY = 2  # the first failed try has only its diagnosis
BEGUN, TESTED = 0.1, 0.6  # shares of a try


def show_gap(step: str, task: str) -> None:
    """Show the file of a task around the learner's lines: the whole function, or the nearest lines."""
    found = manifest.find(step)
    chosen = found.task(task)
    text = (found.folder / chosen.file).read_text()
    region = regions.find(text, chosen.name)
    first, end = around(chosen, text, region)
    lines = text.splitlines()
    sign = "#" if chosen.file.endswith(".py") else ";"
    before, after = "\n".join(lines[first : region.first]), "\n".join(lines[region.last + 1 : end])
    code = f"{regions.unmarked(before)}\n{region.indent}{sign} {GAP}\n{regions.unmarked(after)}".strip("\n")
    show_source(f"steps/{found.name}/{chosen.file}, with a gap", chosen.file, code)


def around(task: Task, text: str, region: regions.Region) -> tuple[int, int]:
    """The range of lines to show, from 0: the innermost function, or LINES_BEFORE and LINES_AFTER."""
    nodes = ast.walk(ast.parse(text)) if task.file.endswith(".py") else ()
    functions = [(node.lineno - 1, node.end_lineno or 0) for node in nodes if isinstance(node, ast.FunctionDef)]
    inside = [(first, end) for first, end in functions if first < region.first and region.last <= end]
    return max(inside, default=(max(0, region.first - LINES_BEFORE), region.last + 1 + LINES_AFTER))


def magic(line: str, cell: str) -> None:
    """``%%your_turn 06 letters`` as a cell's first line: step and task. The lines below it are the learner's."""
    arguments = line.split()
    if len(arguments) != 2:
        raise LabError(f"the first line of this cell should be %%your_turn STEP TASK, not %%your_turn {line}")
    your_turn(arguments[0], arguments[1], cell)


def your_turn(step: str, task: str, lines: str) -> None:
    """Test `lines` as the answer to a task, with the step's other tasks solved, and print the result.

    The blank itself is not tested. From the second failed try on, each prints the next hint.

    Raises: CheckError where Python cannot read the lines.
    """
    found = manifest.find(step)
    chosen = found.task(task)
    if regions.tidy(lines) == workspace.blank_lines(chosen):
        say(f"Your turn: {chosen.title}. Write your lines in place of those above, and run this cell again.")
        return
    with bar(f"your {chosen.name}") as done, sandbox(found, answers={chosen.name: lines}) as copy:
        check_syntax(copy, chosen)
        done(BEGUN)
        deadline = Deadline(LIMIT_S)
        [verdict] = try_out(copy, [chosen.name])
        done(TESTED)
        sentences = what_processes_do(copy, chosen, deadline) if verdict.outcome == "failed" else []
    known = progress.record_check(found, chosen, passed=verdict.passed, tried=True)
    if verdict.passed:
        say_passed(found, chosen, lines, verdict)
        return
    say_failed(verdict, sentences)
    if verdict.outcome == "failed" and known.of(found, chosen).tries >= HINT_FROM_TRY:
        say_hint(found, chosen)


def check_syntax(copy: Step, task: Task) -> None:
    text = (copy.folder / task.file).read_text()
    try:
        if task.file.endswith(".py"):
            ast.parse(text)
    except ValueError as error:  # a null byte
        raise CheckError(f"your lines: Python cannot read them: {error}; fix that first") from None
    except SyntaxError as error:
        number = (error.lineno or 0) - regions.find(text, task.name).first - 1
        raise CheckError(f"line {number} of yours: Python cannot read it: {error.msg}; fix that first") from None


def what_processes_do(copy: Step, task: Task, deadline: Deadline) -> list[str]:
    return diagnose(copy, copy.task(task.name), deadline).sentences


# --- output


def say(text: str, indent: str = "") -> None:
    """A paragraph, wrapped."""
    print(textwrap.fill(" ".join(text.split()), WIDTH, initial_indent=indent, subsequent_indent=indent))


def say_failed(verdict: Verdict, sentences: list[str]) -> None:
    print("Not yet." if verdict.outcome == "failed" else "This cannot be tested here.")
    for line in verdict.lines:
        say(line, "    ")
    if sentences:
        print("What the processes do:")
    for sentence in sentences:
        say(sentence, "    ")


def say_hint(step: Step, task: Task) -> None:
    number, text = hints.next_hint(step, task)
    print(f"Hint {number} of {len(task.hints)}:")
    for index, part in enumerate(text.split("```")):
        if index % 2:
            print(textwrap.indent(textwrap.dedent(part.partition("\n")[2]).rstrip(), "        "))
        elif part.strip():
            say(part, "    ")


def say_passed(step: Step, task: Task, lines: str, verdict: Verdict) -> None:
    print("Passed.")
    for line in verdict.lines:  # what is not told on this system
        say(line, "    ")
    solution = solutions(step)[task.name]
    if regions.tidy(lines) != solution:
        show_source(f"steps/{step.name}/{task.file} has these lines there", task.file, solution)
    known = progress.load()
    left = [other.name for other in step.tasks if not known.of(step, other).passed]
    if left:
        say(f"More tasks of this step: {', '.join(left)}. In a terminal: ./lab start {step.number}")
