"""Progress bars on a terminal, lines elsewhere."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.progress import BarColumn, Progress, ProgressColumn, TextColumn
from rich.table import Column

from .console import out


@contextmanager
def progress_bar(name: str, says: str = "") -> Iterator[Callable[[float], None]]:
    """A bar, or a line. Yields a function that takes the share done, 0 to 1."""
    if not out.is_terminal:
        out.print(f"{name:<16} {says}".rstrip(), soft_wrap=True)
        yield lambda share: None
        return
    text = TextColumn("{task.fields[says]}", table_column=Column(no_wrap=True, overflow="ellipsis"))
    with bars(text) as shown:
        task = shown.add_task(name, total=1.0, says=says)
        yield lambda share: shown.update(task, completed=share)
        shown.update(task, completed=1.0)


@contextmanager
def progress_bars() -> Iterator[Callable[[str, float], None]]:
    """A bar for each name, from its first share on; a line for each that is done.

    Yields a function that takes a name and its share done, 0 to 1.
    """
    if not out.is_terminal:
        yield lambda name, share: out.print(f"{name} is there") if share == 1 else None
        return
    with bars(TextColumn("{task.percentage:3.0f}%")) as shown:
        tasks = {}

        def update(name: str, share: float) -> None:
            if name not in tasks:
                tasks[name] = shown.add_task(name, total=1.0)
            shown.update(tasks[name], completed=share)

        yield update


def bars(last: ProgressColumn) -> Progress:
    columns = TextColumn("{task.description:<16}"), BarColumn(20, table_column=Column(min_width=20)), last
    return Progress(*columns, console=out)
