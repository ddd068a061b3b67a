"""What stands between the marks in README.md and docs/, and the pictures there, computed from docs/recordings.

A mark is a comment, ``<!-- bench full hold 4000 -->``, and reaches to the next ``<!-- end -->``.
"""

import math
import re
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path

from matplotlib.figure import Figure

from offload_lab.paths import ROOT
from offload_lab.plots.timeline import save

from . import figures, law, report
from .numbers import CPU, LAST, MEASURES, MEMORY, OPENED, WAIT_P99, Measure, Spread, ratio, ratios, rounds, values
from .records import Run, has_numbers

DOCS = ROOT / "docs"
PAGES = ("README.md", "docs/comparison.md", "docs/scaling.md")
PLANS = ("full", "law", "storms")
PICTURES = (
    *("wait-4000", "cpu-4000", "memory-4000", "wait-growth", "cpu-growth", "last-2000", "poison-1000", "files-50"),
    *("law-cpu", "law-last", "law-wait"),
)
MARKED = re.compile(r"(<!-- bench (.+?) -->\n).*?(<!-- end -->)", re.DOTALL)
ONE = (1, 1, 1)  # thread, worker, backend
SECONDS: tuple[tuple[str, str, tuple[int, int, int]], ...] = (
    ("second thread", "ours_built", (2, 1, 1)),
    ("second worker", "ours_built", (1, 2, 1)),
    ("second backend", "ours_built", (1, 1, 2)),
    ("second backend, sockets passed on", "ours_passed", (1, 1, 2)),
)
PAYS = 0.9  # a tenth less, in every round
MILLION = 1_000_000
EVENT_BYTES = 200  # of bench/site/feeds.py, with the heads of TCP and IP


def renew() -> None:
    """Raises LabError where a recording is not there."""
    runs = recorded()
    for name in PAGES:
        page = ROOT / name
        page.write_text(renewed(page.read_text(), runs))
    for path, figure in pictures(runs):
        save(figure, path)


def recorded() -> dict[str, Run]:
    """By plan."""
    return {plan: Run.load(DOCS / "recordings" / f"bench-{plan}.jsonl") for plan in PLANS}


def renewed(text: str, runs: Mapping[str, Run]) -> str:
    """A page, what stands between its marks computed anew. Raises KeyError for a mark that means nothing."""

    def fill(match: re.Match[str]) -> str:
        plan, kind, *words = match[2].split()
        return f"{match[1]}{BLOCKS.get(kind, partial(comparison, workload=kind))(runs[plan], *words)}\n{match[3]}"

    return MARKED.sub(fill, text)


def pictures(runs: Mapping[str, Run]) -> Iterator[tuple[Path, Figure]]:
    for run in runs.values():
        for name, figure in figures.of(run):
            if name in PICTURES:
                yield DOCS / "figures" / f"bench-{name}.svg", figure


def table(heads: list[str], rows: list[list[str]]) -> str:
    return "\n".join(f"| {' | '.join(row)} |" for row in [heads, ["---", *["--:"] * (len(heads) - 1)], *rows])


# --- the peers


def comparison(run: Run, streams: str, *, workload: str) -> str:
    """Each contestant's numbers, the median of the rounds; behind each, in brackets, how many times the reference's."""
    count = int(streams)
    against = report.reference(run, workload, count)
    ours = rounds(run.results, against, workload, count)
    rows = []
    for name in report.contestants(run, workload, count):
        mine = rounds(run.results, name, workload, count)
        cells = [both(values(mine, what), ratios(mine, ours, what), name == against) for what in MEASURES[workload]]
        rows.append([f"`{name}`", *cells])
    heads = [report.plain(measure) for measure in MEASURES[workload]]
    said = dict.fromkeys([*report.why_not(run, workload, count), *report.verdicts(run, workload, count)])
    return "\n".join([table(["contestant", *heads], rows), "", *(f"- {line}" for line in said)])


def short(run: Run, streams: str) -> str:
    """What README.md shows of a hold: three numbers for each contestant."""
    shown = (WAIT_P99, CPU, MEMORY)
    ours = rounds(run.results, report.reference(run, "hold", int(streams)), "hold", int(streams))
    rows = []
    for name in report.contestants(run, "hold", int(streams)):
        if name != report.FLOOR:
            mine = rounds(run.results, name, "hold", int(streams))
            cells = [both(values(mine, what), ratios(mine, ours, what), mine == ours) for what in shown]
            rows.append([run.about["settings"][name]["title"], *cells])
    return table(
        ["who carries the streams", "bystander waits, p99 ms", "CPU, ms for 1,000 events", "KiB a stream"], rows
    )


def both(value: Spread, times: Spread, is_reference: bool) -> str:
    shown = report.number(value.middle)
    return shown if is_reference or not math.isfinite(times.middle) else f"{shown} ({report.number(times.middle)} x)"


def place(run: Run) -> str:
    return "\n".join(f"- {line}" for line in report.place(run))


def storms(run: Run) -> str:
    """Two crowds in each cell."""
    rows = []
    for name in run.about["contestants"]:
        some = [one for cell, one in run.results.items() if cell.contestant == name and has_numbers(one)]
        if not some:
            rows.append([f"`{name}`", "0", "not measured", "not measured"])
            continue
        carried = [one[which] for one in some for which in ("established", "again_established")]
        lost = sum(not one["answers_afterwards"] for one in some)
        rows.append(
            [f"`{name}`", f"{2 * len(some)}", f"{min(carried):,} to {max(carried):,}", f"{lost} of {len(some)}"]
        )
    return table(["contestant", "crowds", "carried of 8,000", "worker lost after two"], rows)


# --- the law


def fits(run: Run) -> str:
    """By series: the straight line of the CPU, the power of the lateness, and what does not grow."""
    rows = []
    for name, some in law.points(run.results).items():
        if len(some) < 2:
            continue  # no line through one point
        a, b = law.growth(some)
        at_one, power = law.line([(math.log(one.streams / 1000), math.log(one.last_ms)) for one in some])
        cpu_us = {one.streams: one.event_us for one in some}
        most = some[-1]
        rows.append(
            [
                law.title(name),
                f"{a:.1f} {'-' if b < 0 else '+'} {abs(b):.2f} k",
                f"{cpu_us[8000] / cpu_us[1000]:.2f} x",
                f"{math.exp(at_one):.0f} k^{power:.2f}",
                f"{most.kib_each:.1f}",
                f"{most.slab_kib_each:.1f}",
                f"{most.wait_p99_ms:.1f}",
                f"{most.opened_per_s:,.0f}",
                f"{most.streams:,}",
            ]
        )
    heads = [
        "CPU, µs/event",
        "8,000 to 1,000",
        "last event, ms",
        "KiB each",
        "kernel",
        "wait p99",
        "open /s",
        "up to",
    ]
    return table(["k thousand streams", *heads], rows)


def full(run: Run) -> str:
    """At how many events a second each part has a core for itself and no more: with most streams that were measured."""
    last = {name: some[-1] for name, some in law.points(run.results).items()}
    wheel, built, passed = (last[name, *ONE] for name in ("ours", "ours_built", "ours_passed"))
    parts = (
        (f"offload thread, wheel, {wheel.streams:,} streams", wheel.front_us),
        (f"offload thread, built, {built.streams:,} streams", built.front_us),
        ("backend behind offload threads", built.events_us),
        (f"backend with sockets passed on, {passed.streams:,} streams", passed.events_us),
    )
    rows = [[what, f"{us:.1f}", f"{1e6 / us:,.0f}"] for what, us in parts]
    return table(["one", "µs/event", "full at events/s"], rows)


def pays(run: Run) -> str:
    """What a second one of each is worth: the last event's lateness, in times of one's, the median of the rounds."""
    sizes = sorted({cell.streams for cell in run.results})
    rows = []
    for what, contestant, shape in SECONDS:
        late = {size: against_one(run, contestant, shape, size, LAST) for size in sizes}
        most = max((size for size in sizes if not math.isnan(late[size].middle)), default=0)
        here = [f"{size:,}" for size in sizes if late[size].most < PAYS]
        cpu, opened = (against_one(run, contestant, shape, most, measure).middle for measure in (CPU, OPENED))
        numbers = [*(late[size].middle for size in sizes), cpu, opened]
        rows.append([what, *map(report.number, numbers), "; ".join(here) or "nowhere here"])
    heads = [*(f"{size:,}" for size in sizes), "CPU", "opening", "pays at"]
    return table(["last event, times that with one", *heads], rows)


def against_one(run: Run, contestant: str, shape: tuple[int, int, int], streams: int, what: Measure) -> Spread:
    seen: dict[tuple[int, int, int], dict[int, float]] = {shape: {}, ONE: {}}
    for cell, one in run.results.items():
        _, *counts = law.series(cell)
        if (cell.contestant, cell.streams) == (contestant, streams) and tuple(counts) in seen and has_numbers(one):
            seen[counts[0], counts[1], counts[2]][cell.round] = what.of(one)
    return Spread.of([ratio(value, seen[ONE][turn]) for turn, value in seen[shape].items() if turn in seen[ONE]])


def million(run: Run) -> str:
    """Sockets passed on, from the largest number of streams that was measured."""
    one = law.points(run.results)["ours_passed", *ONE][-1]
    core_s = MILLION * one.event_us / 1e6
    own_gib, kernel_gib = (MILLION * kib / 2**20 for kib in (one.kib_each, one.slab_kib_each))
    per_event_mbit = MILLION * EVENT_BYTES * 8 / 1e6
    rows = [
        ["memory of the processes", f"{one.kib_each:.2f} KiB x 1,000,000", f"{own_gib:.1f} GiB"],
        ["memory of the kernel, at most", f"{one.slab_kib_each:.1f} KiB x 1,000,000", f"{kernel_gib:.1f} GiB"],
        ["CPU, an event to all every second", f"{one.event_us:.1f} µs x 1,000,000", f"{core_s:.1f} cores"],
        ["CPU, an event to all every 30 s", f"{core_s:.1f} / 30", f"{core_s / 30:.2f} cores"],
        ["one event to all, from one backend", f"{one.event_us:.1f} µs x 1,000,000", f"{core_s:.0f} s"],
        ["one event to all, from 16 backends on 16 cores", f"{core_s:.1f} s / 16", f"{core_s / 16:.1f} s"],
        ["network, for each event to all", f"{EVENT_BYTES} bytes x 8 x 1,000,000", f"{per_event_mbit:,.0f} Mbit"],
        [
            "all come back, one Django worker",
            f"1,000,000 / {one.opened_per_s:,.0f}",
            f"{MILLION / one.opened_per_s:.0f} s",
        ],
        ["descriptors", "one for each, behind; none in front", "1,000,000"],
    ]
    return table(["a million needs", "arithmetic", "makes"], rows)


BLOCKS = {
    "short": short,
    "place": place,
    "fits": fits,
    "full": full,
    "pays": pays,
    "million": million,
    "crowds": storms,
}
