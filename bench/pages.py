"""The marked blocks in README.md and docs/, and the pictures there, computed from docs/recordings.

A block begins with a comment, ``<!-- bench full hold 4000 -->``, and ends with the next ``<!-- end -->``.
"""

import math
import re
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path

from matplotlib.figure import Figure

from offload_lab.paths import ROOT
from offload_lab.plots.timeline import save

from . import axes, figures, peer_blocks, report, scaling
from .numbers import CPU, LAST, OPENED, Measure, Spread, ratio
from .records import Run, has_numbers

DOCS = ROOT / "docs"
PAGES = ("README.md", "docs/comparison.md", "docs/scaling.md")
PLANS = ("full", "scaling", "storms")
ALSO = {"workers": "./lab bench --workers", "most": "./lab bench --most"}  # where they were recorded
PICTURES = (
    *("wait-4000", "cpu-4000", "memory-4000", "wait-growth", "cpu-growth", "last-2000", "poison-1000", "files-50"),
    *("scaling-cpu", "scaling-last", "scaling-wait"),
)
MARKED = re.compile(r"(<!-- bench (.+?) -->\n).*?(<!-- end -->)", re.DOTALL)
ONE = (1, 1, 1)  # thread, worker, backend
SECONDS: tuple[tuple[str, str, tuple[int, int, int]], ...] = (
    ("second thread", "offload_patched", (2, 1, 1)),
    ("second worker", "offload_patched", (1, 2, 1)),
    ("second backend", "offload_patched", (1, 1, 2)),
    ("second backend, passed sockets", "passed", (1, 1, 2)),
)
PAYS = 0.9  # a tenth less, in every round
MILLION = 1_000_000
EVENT_BYTES = 200  # of bench/site/feeds.py, with TCP and IP headers


def renew() -> None:
    """Raises: LabError where a recording is missing."""
    runs = recorded()
    for name in PAGES:
        page = ROOT / name
        page.write_text(renewed(page.read_text(), runs))
    for path, figure in pictures(runs):
        save(figure, path, axes.title_of(figure))


def recorded() -> dict[str, Run]:
    """By plan."""
    also = [plan for plan in ALSO if recording(plan).exists()]
    return {plan: Run.load(recording(plan)) for plan in [*PLANS, *also]}


def recording(plan: str) -> Path:
    return DOCS / "recordings" / f"bench-{plan}.jsonl"


def renewed(text: str, runs: Mapping[str, Run]) -> str:
    """A page with its blocks computed anew.

    Raises: KeyError for a block of unknown kind.
    """

    def fill(match: re.Match[str]) -> str:
        plan, kind, *words = match[2].split()
        if plan in ALSO and plan not in runs:
            return f"{match[1]}Not recorded yet: `{ALSO[plan]}`.\n{match[3]}"
        block = BLOCKS.get(kind, partial(peer_blocks.comparison, workload=kind))
        return f"{match[1]}{block(runs[plan], *words)}\n{match[3]}"

    return MARKED.sub(fill, text)


def pictures(runs: Mapping[str, Run]) -> Iterator[tuple[Path, Figure]]:
    for plan in PLANS:
        for name, figure in figures.of(runs[plan]):
            if name in PICTURES:
                yield DOCS / "figures" / f"bench-{name}.svg", figure


def storms(run: Run) -> str:
    """Two storms in each cell."""
    rows = []
    for name in run.about["servers"]:
        cells = [result for cell, result in run.results.items() if cell.server == name and has_numbers(result)]
        if not cells:
            rows.append([f"`{name}`", "0", "not measured", "not measured"])
            continue
        opened = [result[which] for result in cells for which in ("established", "again_established")]
        lost = sum(not result["answers_afterwards"] for result in cells)
        rows.append(
            [f"`{name}`", f"{2 * len(cells)}", f"{min(opened):,} to {max(opened):,}", f"{lost} of {len(cells)}"]
        )
    return peer_blocks.table(["server", "storms", "opened of 8,000", "worker lost after two"], rows)


# --- scaling


def fits(run: Run) -> str:
    """By series: the straight line of the CPU, the power of the lateness, and numbers at the largest size."""
    rows = []
    for name, points in scaling.points(run.results).items():
        if len(points) < 2:
            continue  # no line through one point
        a, b = scaling.growth(points)
        at_one, power = scaling.line([(math.log(at.streams / 1000), math.log(at.last_ms)) for at in points])
        cpu_us = {at.streams: at.event_us for at in points}
        most = points[-1]
        rows.append(
            [
                scaling.title(name),
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
    headings = [
        "CPU, µs/event",
        "8,000 to 1,000",
        "last event, ms",
        "KiB each",
        "kernel",
        "wait p99",
        "open /s",
        "up to",
    ]
    return peer_blocks.table(["k thousand streams", *headings], rows)


def capacity(run: Run) -> str:
    """Events a second at which each part uses one whole core, at the largest number of streams measured."""
    last = {name: points[-1] for name, points in scaling.points(run.results).items()}
    wheel, built, passed = (last[name, *ONE] for name in ("offload", "offload_patched", "passed"))
    parts = (
        (f"offload thread, wheel, {wheel.streams:,} streams", wheel.front_us),
        (f"offload thread, built, {built.streams:,} streams", built.front_us),
        ("backend behind offload threads", built.events_us),
        (f"backend with passed sockets, {passed.streams:,} streams", passed.events_us),
    )
    rows = [[what, f"{us:.1f}", f"{1e6 / us:,.0f}"] for what, us in parts]
    return peer_blocks.table(["part", "µs/event", "one core at events/s"], rows)


def pays(run: Run) -> str:
    """The effect of a second thread, worker or backend: multiples of the numbers with one, median of the rounds."""
    sizes = sorted({cell.streams for cell in run.results})
    rows = []
    for what, server, shape in SECONDS:
        late = {size: against_one(run, server, shape, size, LAST) for size in sizes}
        most = max((size for size in sizes if not math.isnan(late[size].middle)), default=0)
        here = [f"{size:,}" for size in sizes if late[size].most < PAYS]
        cpu, opened = (against_one(run, server, shape, most, measure).middle for measure in (CPU, OPENED))
        numbers = [*(late[size].middle for size in sizes), cpu, opened]
        rows.append([what, *map(report.number, numbers), "; ".join(here) or "no size here"])
    headings = [*(f"{size:,}" for size in sizes), "CPU", "opening", "pays at"]
    return peer_blocks.table(["last event, multiple of that with one", *headings], rows)


def against_one(run: Run, server: str, shape: tuple[int, int, int], streams: int, what: Measure) -> Spread:
    seen: dict[tuple[int, int, int], dict[int, float]] = {shape: {}, ONE: {}}
    for cell, result in run.results.items():
        _, *counts = scaling.series(cell)
        if (cell.server, cell.streams) == (server, streams) and tuple(counts) in seen and has_numbers(result):
            seen[counts[0], counts[1], counts[2]][cell.round] = what.of(result)
    return Spread.of([ratio(value, seen[ONE][turn]) for turn, value in seen[shape].items() if turn in seen[ONE]])


def million(run: Run) -> str:
    """Passed sockets, extrapolated from the largest number of streams measured."""
    most = scaling.points(run.results)["passed", *ONE][-1]
    core_s = MILLION * most.event_us / 1e6
    own_gib, kernel_gib = (MILLION * kib / 2**20 for kib in (most.kib_each, most.slab_kib_each))
    per_event_mbit = MILLION * EVENT_BYTES * 8 / 1e6
    rows = [
        ["memory of the processes", f"{most.kib_each:.2f} KiB x 1,000,000", f"{own_gib:.1f} GiB"],
        ["memory of the kernel, at most", f"{most.slab_kib_each:.1f} KiB x 1,000,000", f"{kernel_gib:.1f} GiB"],
        ["CPU, an event to all every second", f"{most.event_us:.1f} µs x 1,000,000", f"{core_s:.1f} cores"],
        ["CPU, an event to all every 30 s", f"{core_s:.1f} / 30", f"{core_s / 30:.2f} cores"],
        ["one event to all, from one backend", f"{most.event_us:.1f} µs x 1,000,000", f"{core_s:.0f} s"],
        ["one event to all, from 16 backends on 16 cores", f"{core_s:.1f} s / 16", f"{core_s / 16:.1f} s"],
        ["network, for each event to all", f"{EVENT_BYTES} bytes x 8 x 1,000,000", f"{per_event_mbit:,.0f} Mbit"],
        [
            "all reconnect, one Django worker",
            f"1,000,000 / {most.opened_per_s:,.0f}",
            f"{MILLION / most.opened_per_s:.0f} s",
        ],
        ["descriptors", "one for each in the backend, none in the front", "1,000,000"],
    ]
    return peer_blocks.table(["a million streams need", "arithmetic", "result"], rows)


BLOCKS: dict[str, Callable[..., str]] = {
    "short": peer_blocks.short,
    "missing": peer_blocks.missing,
    "opening": peer_blocks.opening,
    "several": peer_blocks.several,
    "poisoned": peer_blocks.poisoned,
    "most": peer_blocks.most,
    "place": peer_blocks.place,
    "fits": fits,
    "capacity": capacity,
    "pays": pays,
    "million": million,
    "storms": storms,
}
