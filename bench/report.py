"""A run → tables, and sentences that say who is better than ours and who is worse. It sees the run's file only."""

import math
from collections.abc import Iterator, Sequence
from typing import Any

from rich import box
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from . import law
from .numbers import COMPARED, LAST, LATE_P99, LEGEND, MEASURES, Measure, Spread, ratios, rounds, values
from .plan import Cell
from .records import Run, has_numbers

FLOOR = "floor"
OURS = ("ours_passed", "ours_built", "ours")  # the first that took part is whom others are compared with
NAME_WIDTH, NUMBER_WIDTH, RATIO_WIDTH = 15, 8, 17  # columns of the terminal
Shown = Table | Text | str
CLEARLY = 1.1  # less than a tenth is no difference here

SAYS = {
    "hold": "streams open, an event a second each",
    "broadcast": "streams open, every two seconds one event to all",
    "storm": "streams, all at once; cut off, and all at once again",
    "poison": "streams open while one view blocks for two seconds",
    "download": "slow readers of a file",
}


def parts(run: Run) -> list[tuple[str, int]]:
    """(workload, streams) in the order of their first cell."""
    return list(dict.fromkeys((cell.workload, cell.streams) for cell in run.results))


def contestants(run: Run, workload: str, streams: int) -> list[str]:
    """Who took part or tried to, in the order in which the file names them."""
    there = {cell.contestant for cell in run.results if (cell.workload, cell.streams) == (workload, streams)}
    return [name for name in run.about["contestants"] if name in there]


def reference(run: Run, workload: str, streams: int) -> str:
    """Whom the others are compared with."""
    return next((name for name in OURS if rounds(run.results, name, workload, streams)), OURS[-1])


def whole(run: Run, width: int) -> Iterator[Shown]:
    """All that there is to show, in tables that fit into `width` columns."""
    if run.about["plan"] == "law":
        yield from law.tables(run)
    else:
        yield from tables(run, width)
        yield LEGEND
    yield ""
    yield from crews(run)
    yield from place(run)


def tables(run: Run, width: int) -> Iterator[Shown]:
    """For each workload and size: the numbers, the ratios to ours, and what there is to say in words."""
    for workload, streams in parts(run):
        yield Text(f"{workload}: {streams:,} {SAYS[workload]}", "bold")
        for some in that_fit(MEASURES[workload], (width - NAME_WIDTH) // NUMBER_WIDTH):
            yield numbers_table(run, workload, streams, some)
        yield from why_not(run, workload, streams)
        yield Text(f"\n{workload}, {streams:,}: how many times {reference(run, workload, streams)}", "bold")
        for some in that_fit(COMPARED[workload], (width - NAME_WIDTH) // RATIO_WIDTH):
            yield ratio_table(run, workload, streams, some)
        yield from verdicts(run, workload, streams)
        yield ""


def that_fit(measures: Sequence[Measure], columns: int) -> Iterator[Sequence[Measure]]:
    """`measures` in parts of about the same size, of no more than `columns` each."""
    tables = -(-len(measures) // max(1, columns))
    each = -(-len(measures) // tables)
    yield from (measures[start : start + each] for start in range(0, len(measures), each))


def numbers_table(run: Run, workload: str, streams: int, measures: Sequence[Measure]) -> Table:
    table = empty(measures)
    for name in contestants(run, workload, streams):
        by_round = rounds(run.results, name, workload, streams)
        cells = [number(values(by_round, measure).middle) for measure in measures]
        table.add_row(name, *cells, style="bold" if name in OURS else "")
    return table


def ratio_table(run: Run, workload: str, streams: int, measures: Sequence[Measure]) -> Table:
    against = reference(run, workload, streams)
    table = empty(measures)
    ours = rounds(run.results, against, workload, streams)
    for name in contestants(run, workload, streams):
        by_round = rounds(run.results, name, workload, streams)
        if by_round and name != against:
            table.add_row(name, *(times(ratios(by_round, ours, measure)) for measure in measures))
    return table


def empty(measures: Sequence[Measure]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("contestant", no_wrap=True)
    for measure in measures:
        table.add_column(measure.heading, justify="right", no_wrap=True)
    return table


def number(value: float) -> str:
    """At most seven characters."""
    if math.isnan(value):
        return "-"
    if math.isinf(value):
        return "never"
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.1f}" if abs(value) >= 10 else f"{value:.2g}"


def times(spread: Spread) -> str:
    if math.isnan(spread.middle):
        return "-"
    least, most = number(spread.least), number(spread.most)
    return number(spread.middle) + (f" ({least}-{most})" if least != most else "")


def why_not(run: Run, workload: str, streams: int) -> Iterator[str]:
    """One line for each contestant without numbers, and for each round of one that failed in something."""
    for cell, result in run.results.items():
        if (cell.workload, cell.streams) != (workload, streams):
            continue
        if not has_numbers(result):
            yield f"{cell.contestant}: {first_line(result)}"
        elif happened := "; ".join(mishaps(result)):
            yield f"{cell.contestant}, round {cell.round}: {happened}"


def mishaps(result: dict[str, Any]) -> Iterator[str]:
    for when in ("failures", "again_failures"):
        yield from (f"{count:,} {why}" for why, count in result.get(when, {}).items())
    if (lost := result.get("lost", 0)) > 0:
        yield f"{lost:,} streams lost"
    if missed := result.get("missed"):
        yield f"{missed:,} events more than a second late"
    if given_up := result.get("given_up"):
        yield f"{given_up:,} of {result['asked']:,} bystanders gave up"
    if ended := result.get("ended"):
        yield f"{', '.join(ended)} ended by itself"
    if not result.get("answers_afterwards", True):
        yield "does not answer any more"


def first_line(result: dict[str, Any]) -> str:
    return str(result.get("missing") or result.get("failed")).splitlines()[0]


def verdicts(run: Run, workload: str, streams: int) -> Iterator[str]:
    """Who is better and who is worse in every round, in the same words."""
    against = reference(run, workload, streams)
    ours = rounds(run.results, against, workload, streams)
    better, worse = [], []
    for name in contestants(run, workload, streams):
        if name in (*OURS, FLOOR):
            continue
        by_round = rounds(run.results, name, workload, streams)
        some = [(plain(one), ratios(by_round, ours, one)) for one in COMPARED[workload]]
        better += said(name, [(what, it) for what, it in some if it.most < 1 / CLEARLY])
        worse += said(name, [(what, it) for what, it in some if it.least > CLEARLY])
    yield f"better than {against}: {'; '.join(better) or 'nobody'}"
    yield f"worse than {against}: {'; '.join(worse) or 'nobody'}"


def said(name: str, some: list[tuple[str, Spread]]) -> list[str]:
    words = ", ".join(f"{what} {number(it.middle)}{' times' * math.isfinite(it.middle)}" for what, it in some)
    return [f"{name} ({words})"] if words else []


def plain(measure: Measure) -> str:
    return measure.heading.replace("\n", " ")


def crews(run: Run) -> Iterator[str]:
    """Whether the load generator was in the way: its own CPU, and what it sees where there is no server to speak of."""
    for workload, streams in parts(run):
        by_round = rounds(run.results, FLOOR, workload, streams)
        if not by_round:
            continue
        seen = LAST if workload == "broadcast" else LATE_P99
        late = values(by_round, seen).middle
        busy = Spread.of([share(one) for one in by_round.values()])
        yield (
            f"the load generator, {workload} {streams:,}: {number(busy.middle)} % of one core, in two processes;"
            f" alone with a server that does nothing it sees {plain(seen)} {number(late)}"
        )


def share(result: dict[str, Any]) -> float:
    return 100.0 * float(result["crews_cpu_s"]) / float(result["counted_s"])


def settings(run: Run) -> Iterator[Padding]:
    """Who is set up how, and on whose advice."""
    for name, one in run.about["settings"].items():
        yield Padding(Text.assemble((name, "bold"), f"  {one['title']}: {one['shape']}"), (1, 0, 0, 0))
        for advice in one["advice"]:
            yield Padding(Text(f"{advice['setting']}  ({advice['source']})"), (0, 0, 0, 4))


def place(run: Run) -> Iterator[str]:
    """Machine, versions and limits."""
    where = run.about["machine"]
    yield (
        f"{where['processor']}, {where['cores']} cores, {where['memory_mib']:,} MiB, {where['system']};"
        f" load {where['load']:.1f} before the start; {run.about['taken']}"
    )
    for what in ("versions", "limits"):
        yield ", ".join(f"{name} {value}" for name, value in run.about[what].items())


def of_one(cell: Cell, result: dict[str, Any]) -> str:
    """A finished cell in a line."""
    if not has_numbers(result):
        return f"{cell}  {first_line(result)}"
    shown = [(plain(one), values({1: result}, one).middle) for one in COMPARED[cell.workload]]
    return f"{cell}  {', '.join(f'{what} {number(value)}' for what, value in shown)}"
