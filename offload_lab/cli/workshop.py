"""./lab timetable, pack: for a teacher, on the day and on the day before."""

import time

import click

from offload_lab.course.agenda import plan
from offload_lab.course.agenda_text import lines, renewed
from offload_lab.course.bundle import pack as pack_into
from offload_lab.paths import ROOT
from offload_lab.stages import manifest

from .console import out
from .progress import progress_bars
from .publish import check_tools

DOCUMENTS = ROOT / "docs" / "workshop"
DIST = ROOT / "dist"


@click.command(epilog="Example: ./lab timetable 180")
@click.argument("minutes", type=click.IntRange(min=1), default=90)
@click.option("--renew", is_flag=True, help="Instead, write the timetables in docs/workshop/ again.")
def timetable(minutes: int, renew: bool) -> None:
    """Plan a workshop of MINUTES (90).

    Shows what fits, when each section ends, what the class has seen by then, what to leave out if you are late.
    """
    steps = manifest.steps()
    if renew:
        for page in DOCUMENTS.glob("*.md"):
            page.write_text(renewed(page.read_text(), steps))
        return
    for style, line in lines(plan(steps, minutes)):
        out.print(line, style=style, markup=False, soft_wrap=True)


@click.command(epilog="Example: ./lab pack")
def pack() -> None:
    """Pack the repository, all its packages, the talk, the book and the replays into one archive in dist/, for a room
    without a network.
    """
    check_tools("slides")
    from offload_lab.course import reading

    began = time.monotonic()
    has_results = []
    with progress_bars() as on_progress:
        made = pack_into(ROOT, DIST, on_progress, lambda into: has_results.append(reading.write_all(into)))
    out.print(f"\n{made.archive}", style="bold", markup=False, soft_wrap=True)
    took_s = time.monotonic() - began
    out.print(f"{made.mib:.0f} MiB in {took_s:.0f} s; commit {made.commit}; packages: {made.packages}")
    if made.sources:
        out.print(f"not wheels, built where they are installed: {', '.join(made.sources)}", soft_wrap=True)
    if made.uncommitted:
        out.print(f"not in it: {made.uncommitted} files that differ from the commit", style="yellow")
    if not all(has_results):
        out.print("its book has no results: ./lab book makes one that has, then pack again", style="yellow")
    out.print(f"for {made.made_for}; pack once more on a machine like theirs if yours differ", style="yellow")
    out.print(f"there: tar -xzf {made.archive.name} && cd {made.folder} && ./lab demo", markup=False, soft_wrap=True)
