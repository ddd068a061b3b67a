"""./lab bench: the same work for this project's offload and for its peers."""

import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import click

from offload_lab.errors import LabError, UnknownNameError
from offload_lab.paths import ROOT
from offload_lab.system import is_linux

from .console import out
from .needs import needs

if TYPE_CHECKING:
    from bench.records import Run
    from bench.specs import ServerSpec


@click.command(epilog="Example: ./lab bench --quick")
@click.argument("names", nargs=-1, metavar="[SERVER]...")
@click.option("--quick", "plan", flag_value="quick", help="4,000 streams, one round, within three minutes.")
@click.option(
    "--scaling",
    "plan",
    flag_value="scaling",
    help="Instead: how the cost of offloading grows.",
)
@click.option("--workers", "plan", flag_value="workers", help="Instead: as many processes as cores, on both sides.")
@click.option("--most", "plan", flag_value="most", help="Instead: 16,000 proxied streams, and 50,000 passed ones.")
@click.option("--storms", "plan", flag_value="storms", help="Instead: 20 storms of 8,000 on each offload server.")
@click.option("--record", is_flag=True, help="All of these in turn into docs/recordings, then --renew: 3.5 hours.")
@click.option(
    "--resume",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Go on with a run that was stopped; a finished one is shown again.",
)
@click.option("--renew", is_flag=True, help="Instead, compute anew what docs/ holds of it: tables and pictures.")
def bench(names: tuple[str, ...], plan: str | None, record: bool, resume: Path | None, renew: bool) -> None:
    """Run the same work on the offload servers and on their peers, all or those named, and compare.

    Without an option: every workload, three rounds, some two hours. Each measurement is written down as soon
    as it is finished. The patched uWSGI is built first, where that can be done.
    """
    from bench.specs import load_all  # it stands beside this package, not in it

    specs = load_all()
    if unknown := next((name for name in names if name not in specs), None):
        raise UnknownNameError("server", unknown, specs)
    if not is_linux():
        raise LabError("./lab bench runs on Linux only: it waits with epoll and reads /proc; see docs/systems.md")
    needs("bench")
    from bench import pages, recorder
    from bench.records import Run

    if resume:
        carry_out(Run.load(resume), specs)
    elif not renew:
        # where the patched uWSGI cannot be built, its rows say so
        subprocess.run([sys.executable, str(ROOT / "uwsgi_build" / "build.py")])
        for each in [*pages.PLANS, *pages.ALSO] if record else [plan or "full"]:
            run = recorder.new(each, specs, names)
            carry_out(run, specs)
            if record:
                shutil.copyfile(run.path, pages.recording(each))
    if renew or record:
        pages.renew()


def carry_out(run: "Run", specs: Mapping[str, "ServerSpec"]) -> None:
    """Measure what the run lacks, and report all of it."""
    from bench import recorder, report

    out.print(*report.settings(run), "", sep="\n")
    with out.status("") as status:
        for done, of, cell, result in recorder.resume(run, specs):
            if result is None:
                status.update(f"{done + 1} of {of}: {cell}")
            else:
                out.print(f"{done:>3}/{of}  {report.cell_line(cell, result)}", markup=False, soft_wrap=True)
    for part in report.whole(run, out.width):
        out.print(part, markup=False)
    out.print(f"pictures: {recorder.draw(run)}/", soft_wrap=True)
    out.print(f"recording: {run.path}", soft_wrap=True)
