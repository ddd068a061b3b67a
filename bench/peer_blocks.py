"""The blocks about the peers, from a run: README.md's table, and those of docs/comparison.md."""

from collections.abc import Iterator, Mapping

from . import report
from .numbers import (
    CPU,
    IDLE,
    LATE_P99,
    LATE_WORST,
    MEASURES,
    MEMORY,
    OPEN_CPU,
    OPENED,
    THREADS,
    WAIT_P50,
    WAIT_P99,
    WAIT_WORST,
    Measure,
    Result,
    ratio,
    ratios,
    rounds,
    values,
)
from .records import Run, has_numbers
from .specs import load_all

CORRECTED = "2026-11-28"  # the day of bench/site/users.py's aget_user()


def table(headings: list[str], rows: list[list[str]]) -> str:
    return "\n".join(f"| {' | '.join(row)} |" for row in [headings, ["---", *["--:"] * (len(headings) - 1)], *rows])


def comparison(run: Run, streams: str, *, workload: str) -> str:
    """Each server's numbers, the median of the rounds; below, what was not measured, and who is better or worse."""
    count = int(streams)
    rows = []
    for name in report.servers(run, workload, count):
        mine = rounds(run.results, name, workload, count)
        rows.append([f"`{name}`", *(shown(mine, what) for what in MEASURES[workload])])
    headings = [report.plain(measure) for measure in MEASURES[workload]]
    notes = dict.fromkeys([*report.why_not(run, workload, count), *report.verdicts(run, workload, count)])
    return "\n".join([table(["server", *headings], rows), "", *(f"- {line}" for line in notes)])


def missing(run: Run) -> str:
    return "\n".join(lacking(run)).strip() or "Nothing is missing in the recording."


def lacking(run: Run) -> Iterator[str]:
    """What the recording lacks, if anything: servers, and a correction."""
    day = run.about["taken"].partition("T")[0]
    if titles := [spec.title for spec in load_all().values() if spec.name not in run.about["servers"]]:
        yield f"\nNot in the recording of {day} yet: {'; '.join(titles)}."
    if day < CORRECTED:
        yield f"\nOn {day} async Django still read its user from the database for each stream, to its disadvantage."


def shown(by_round: Mapping[int, Result], what: Measure) -> str:
    return report.number(values(by_round, what).middle)


def short(run: Run, streams: str) -> str:
    """README.md's table of a hold: the wheel, its peers, and below a line what the patched build adds.

    Its last column can be computed anew from the one before: the CPU as shown, divided by the wheel's as shown.
    """
    count = int(streams)
    wheel, *patched = report.OFFLOAD
    peers = [name for name in report.servers(run, "hold", count) if name not in (*report.OFFLOAD, report.BASELINE)]
    base = shown(rounds(run.results, wheel, "hold", count), CPU)

    def row(name: str) -> list[str]:
        mine = rounds(run.results, name, "hold", count)
        cells = [shown(mine, what) for what in (WAIT_P99, MEMORY, CPU)]
        return [run.about["settings"][name]["title"], *cells, times(cells[-1], base)]

    rows = [*map(row, [wheel, *peers]), ["**what the patched uWSGI adds**", *[""] * 4], *map(row, patched)]
    headings = ["bystander waits, p99 ms", "KiB a stream", "CPU, ms for 1,000 events", "CPU, times the wheel's"]
    return "\n".join([table(["streams held by", *headings], rows), "", *better(run, count, peers), *lacking(run)])


def times(value: str, wheels: str) -> str:
    """The quotient of two numbers as shown."""
    mine, base = (float(text.replace(",", "").replace("never", "inf").replace("-", "nan")) for text in (value, wheels))
    return report.number(ratio(mine, base))


def better(run: Run, streams: int, peers: list[str]) -> Iterator[str]:
    """The peers that are better than the wheel by more than a tenth in every round, number by number."""
    base = rounds(run.results, report.OFFLOAD[0], "hold", streams)
    found = []
    for what, measure in (("a bystander's wait", WAIT_P99), ("memory", MEMORY), ("CPU", CPU)):
        names = [
            run.about["settings"][name]["title"]
            for name in peers
            if ratios(rounds(run.results, name, "hold", streams), base, measure).most < 1 / report.CLEARLY
        ]
        found.append(f"{what}: {'; '.join(names) or 'none'}")
    yield f"Better than the first row in every round, in {'. In '.join(found)}."


def opening(run: Run, streams: str) -> str:
    """What it takes to open a stream."""
    rows = []
    for name in report.servers(run, "hold", int(streams)):
        mine = rounds(run.results, name, "hold", int(streams))
        rows.append([f"`{name}`", *(shown(mine, what) for what in (OPENED, OPEN_CPU, THREADS, MEMORY))])
    headings = ["all open after, s", "CPU to open one, ms", "threads of the server", "KiB a stream"]
    return "\n".join([table(["server", *headings], rows)])


def several(run: Run, streams: str) -> str:
    """A hold with as many processes as cores, on both sides."""
    return comparison(run.with_workers(run.about["machine"]["cores"]), streams, workload="hold")


def poisoned(run: Run, streams: str) -> str:
    """A view that blocks, by the number of Django's workers."""
    measures = (IDLE, WAIT_P50, WAIT_P99, WAIT_WORST, LATE_WORST)
    rows = []
    for name in report.servers(run, "poison", int(streams)):
        for workers in sorted({cell.workers for cell in run.results if cell.workload == "poison"}):
            mine = rounds(run.with_workers(workers).results, name, "poison", int(streams))
            rows.append([f"`{name}`", f"{workers}", *(shown(mine, what) for what in measures)])
    return "\n".join([table(["server", "workers", *map(report.plain, measures)], rows)])


def most(run: Run) -> str:
    """As many streams as descriptors allow: what was reached, or what stopped it."""
    rows = []
    for cell, result in run.results.items():
        shape = f"{cell.workers} workers, {cell.backends} backends"
        if has_numbers(result):
            reached = [f"{result['established'] - result['lost']:,}"]
            reached += [shown({1: result}, what) for what in (OPENED, WAIT_P99, LATE_P99, CPU, MEMORY)]
            stopped = "; ".join(report.failures(result)) or "nothing"
        else:
            reached, stopped = ["-"] * 6, report.first_line(result)
        rows.append([f"`{cell.server}`, {shape}", f"{cell.streams:,}", *reached, stopped])
    headings = ["tried", "held", "open s", "wait p99", "late p99", "CPU ms", "each KiB", "what stopped it"]
    return table(["server", *headings], rows)


def place(run: Run) -> str:
    return "\n".join(f"- {line}" for line in report.place(run))
