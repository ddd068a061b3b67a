"""A run → tables, and the servers that are better or worse than the reference in every round."""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rich import box
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from . import scaling
from .numbers import COMPARED, LAST, LATE_P99, LEGEND, MEASURES, Measure, Spread, ratios, rounds, values
from .plan import Cell
from .records import Run, has_numbers

BASELINE = "baseline"
OFFLOAD = ("offload", "offload_patched", "passed")  # the first one measured is the reference
NAME_WIDTH, NUMBER_WIDTH, RATIO_WIDTH = 17, 8, 17  # columns of the terminal
Shown = Table | Text | str
CLEARLY = 1.1  # a difference below a tenth is none

DESCRIPTIONS = {
    "hold": "streams open, an event a second each",
    "broadcast": "streams open, every two seconds one event to all",
    "storm": "streams, all at once; cut off, and all at once again",
    "poison": "streams open while one view blocks for two seconds",
    "download": "slow readers of a file",
}


def parts(run: Run) -> list[tuple[str, int]]:
    """(workload, streams) in the order of their first cell."""
    return list(dict.fromkeys((cell.workload, cell.streams) for cell in run.results))


def servers(run: Run, workload: str, streams: int) -> list[str]:
    """The servers that were tried, in the file's order."""
    tried = {cell.server for cell in run.results if (cell.workload, cell.streams) == (workload, streams)}
    return [name for name in run.about["servers"] if name in tried]


def reference(run: Run, workload: str, streams: int) -> str:
    """The server that the others are compared with."""
    return next((name for name in OFFLOAD if rounds(run.results, name, workload, streams)), OFFLOAD[-1])


def whole(run: Run, width: int) -> Iterator[Shown]:
    """The whole report, in tables that fit into `width` columns."""
    if run.about["plan"] == "scaling":
        yield from scaling.tables(run)
    else:
        for workers in sorted({cell.workers for cell in run.results}):
            yield Text(f"{workers} worker processes each\n", "bold") if workers > 1 else ""
            yield from tables(run.with_workers(workers), width)
        yield LEGEND
    yield ""
    yield from load_generator(run)
    yield from place(run)


def tables(run: Run, width: int) -> Iterator[Shown]:
    """For each workload and size: the numbers, the ratios to the reference, failures and verdicts."""
    for workload, streams in parts(run):
        yield Text(f"{workload}: {streams:,} {DESCRIPTIONS[workload]}", "bold")
        for part in that_fit(MEASURES[workload], (width - NAME_WIDTH) // NUMBER_WIDTH):
            yield numbers_table(run, workload, streams, part)
        yield from why_not(run, workload, streams)
        yield Text(f"\n{workload}, {streams:,}: how many times {reference(run, workload, streams)}", "bold")
        for part in that_fit(COMPARED[workload], (width - NAME_WIDTH) // RATIO_WIDTH):
            yield ratio_table(run, workload, streams, part)
        yield from verdicts(run, workload, streams)
        yield ""


def that_fit(measures: Sequence[Measure], columns: int) -> Iterator[Sequence[Measure]]:
    """`measures` in parts of about the same size, of no more than `columns` each."""
    tables = -(-len(measures) // max(1, columns))
    each = -(-len(measures) // tables)
    yield from (measures[start : start + each] for start in range(0, len(measures), each))


def numbers_table(run: Run, workload: str, streams: int, measures: Sequence[Measure]) -> Table:
    table = empty(measures)
    for name in servers(run, workload, streams):
        by_round = rounds(run.results, name, workload, streams)
        cells = [number(values(by_round, measure).middle) for measure in measures]
        table.add_row(name, *cells, style="bold" if name in OFFLOAD else "")
    return table


def ratio_table(run: Run, workload: str, streams: int, measures: Sequence[Measure]) -> Table:
    against = reference(run, workload, streams)
    table = empty(measures)
    base = rounds(run.results, against, workload, streams)
    for name in servers(run, workload, streams):
        by_round = rounds(run.results, name, workload, streams)
        if by_round and name != against:
            table.add_row(name, *(times(ratios(by_round, base, measure)) for measure in measures))
    return table


def empty(measures: Sequence[Measure]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("server", no_wrap=True)
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
    """One line for each server without numbers, and for each round with failures."""
    for cell, result in run.results.items():
        if (cell.workload, cell.streams) != (workload, streams):
            continue
        if not has_numbers(result):
            yield f"{cell.server}: {first_line(result)}"
        elif found := "; ".join(failures(result)):
            yield f"{cell.server}, round {cell.round}: {found}"


def failures(result: dict[str, Any]) -> Iterator[str]:
    for when in ("failures", "again_failures"):
        yield from (f"{count:,} {why}" for why, count in result.get(when, {}).items())
    if (lost := result.get("lost", 0)) > 0:
        yield f"{lost:,} streams lost"
    if missed := result.get("missed"):
        yield f"{missed:,} events more than a second late"
    if unanswered := result.get("unanswered"):
        yield f"{unanswered:,} of {result['probes']:,} bystanders unanswered"
    if ended := result.get("ended"):
        yield f"{', '.join(ended)} ended by itself"
    if not result.get("answers_afterwards", True):
        yield "no longer answers"


def first_line(result: dict[str, Any]) -> str:
    return str(result.get("missing") or result.get("failed")).splitlines()[0]


def verdicts(run: Run, workload: str, streams: int) -> Iterator[str]:
    """The peers that are better and those that are worse in every round: than the wheel, and than the best offload."""
    measured = [name for name in OFFLOAD if rounds(run.results, name, workload, streams)]
    for against in dict.fromkeys([*measured[:1], *measured[-1:]]):
        yield from compared_with(run, workload, streams, against)


def compared_with(run: Run, workload: str, streams: int, against: str) -> Iterator[str]:
    base = rounds(run.results, against, workload, streams)
    better, worse = [], []
    for name in servers(run, workload, streams):
        if name in (*OFFLOAD, BASELINE):
            continue
        by_round = rounds(run.results, name, workload, streams)
        compared = [(plain(measure), ratios(by_round, base, measure)) for measure in COMPARED[workload]]
        better += verdict(name, [(what, it) for what, it in compared if it.most < 1 / CLEARLY])
        worse += verdict(name, [(what, it) for what, it in compared if it.least > CLEARLY])
    yield f"better than {against}: {'; '.join(better) or 'none'}"
    yield f"worse than {against}: {'; '.join(worse) or 'none'}"


def verdict(name: str, compared: list[tuple[str, Spread]]) -> list[str]:
    times = ", ".join(f"{what} {number(it.middle)}{' times' * math.isfinite(it.middle)}" for what, it in compared)
    return [f"{name} ({times})"] if times else []


def plain(measure: Measure) -> str:
    return measure.heading.replace("\n", " ")


def load_generator(run: Run) -> Iterator[str]:
    """Whether the load generator is the bottleneck: its own CPU, and what it measures with the baseline."""
    for workload, streams in parts(run):
        by_round = rounds(run.results, BASELINE, workload, streams)
        if not by_round:
            continue
        seen = LAST if workload == "broadcast" else LATE_P99
        late = values(by_round, seen).middle
        busy = Spread.of([share(rows) for rows in by_round.values()])
        yield (
            f"the load generator, {workload} {streams:,}: {number(busy.middle)} % of one core, in two processes;"
            f" with the baseline it measures {plain(seen)} {number(late)}"
        )


def share(result: Mapping[str, Any]) -> float:
    return 100.0 * float(result["load_cpu_s"]) / float(result["counted_s"])


def settings(run: Run) -> Iterator[Padding]:
    """How each server is set up, and the source of each setting."""
    for name, spec in run.about["settings"].items():
        yield Padding(Text.assemble((name, "bold"), f"  {spec['title']}: {spec['shape']}"), (1, 0, 0, 0))
        for advice in spec["advice"]:
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


def cell_line(cell: Cell, result: dict[str, Any]) -> str:
    """A measured cell as one line."""
    if not has_numbers(result):
        return f"{cell}  {first_line(result)}"
    shown = [(plain(measure), values({1: result}, measure).middle) for measure in COMPARED[cell.workload]]
    return f"{cell}  {', '.join(f'{what} {number(value)}' for what, value in shown)}"
