"""The teacher's table: a row a seat, a column a task. No I/O."""

from collections.abc import Sequence
from dataclasses import dataclass

from offload_lab.stages.step import Step

from .board import Board, Seat, TaskState

MARKS = {"passed": "✓", "given": "given"}


@dataclass(frozen=True)
class Column:
    step: str
    task: str
    heading: str
    title: str


@dataclass(frozen=True)
class Cell:
    """`state`: ``none``, ``open``, ``amber``, ``passed`` or ``given``."""

    text: str
    state: str


@dataclass(frozen=True)
class Row:
    """`guess`: at the question that the projector shows. `silent`: minutes, 0 unless they are too many."""

    number: int
    nickname: str
    hand: bool
    seen: bool
    guess: Cell
    silent: int
    amber: bool
    cells: tuple[Cell, ...]


def columns(board: Board, steps: Sequence[Step], present: str | None) -> list[Column]:
    """The tasks of the step that the class is in, and of those that any seat has begun."""
    begun = {step for seat in board.seats.values() for step, _ in seat.tasks} | {present}
    return [
        Column(step.name, task.name, f"{step.number} {number}", f"{step.number} {task.name}: {task.title}")
        for step in steps
        if step.name in begun
        for number, task in enumerate(step.exercises, 1)
    ]


def rows(board: Board, shown: Sequence[Column], now: float) -> list[Row]:
    """In the order of joining, so that no row moves while it is read."""
    return [row(seat, shown, board, now) for seat in board.seats.values()]


def row(seat: Seat, shown: Sequence[Column], board: Board, now: float) -> Row:
    cells = tuple(cell(seat.tasks.get((column.step, column.task))) for column in shown)
    silent = seat.silent_min(now)
    amber = bool(silent) or any(one.state == "amber" for one in cells)
    guess = guess_cell(seat, board.shown)
    return Row(seat.number, seat.nickname, seat.hand, board.section in seat.seen, guess, silent, amber, cells)


def guess_cell(seat: Seat, notebook: str) -> Cell:
    """Whether there is one; never the number, which the class would read over the teacher's shoulder."""
    if notebook in seat.guesses:
        return Cell("✓", "passed")
    return Cell("not taken", "amber") if notebook in seat.refused else Cell("", "none")


def cell(task: TaskState | None) -> Cell:
    if task is None:
        return Cell("", "none")
    hints = f" {task.hints}h" if task.hints else ""
    if task.state == "open":
        return Cell(f"{task.tries}✗{hints}", "amber" if task.amber else "open")
    return Cell(f"{MARKS[task.state]}{hints}", task.state)
