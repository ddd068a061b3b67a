"""One cell: start the contestant and the crews, let the workload happen, keep what it says or why there is nothing."""

import os
import resource
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from offload_lab.errors import LabError, MissingDependencyError, indent
from offload_lab.paths import ROOT
from offload_lab.process.process import Process
from offload_lab.stages.stage import short_private_folder

from .contestants import Contestant
from .crew import CREWS, Crew, Streams
from .plan import Cell, Timing
from .server import ROOM, Server
from .tally import Result
from .workloads import WORKLOADS, Scene

PREPARE_S = 120.0


def measure(cell: Cell, contestant: Contestant, timing: Timing, prepared: Path) -> Result:
    """The numbers, or {"missing": why} or {"failed": why}: a contestant that is not there or falls over is a result."""
    server = None
    try:
        contestant.check()
        check_descriptors(cell, contestant)
        with ExitStack() as block:
            crews = [block.enter_context(Crew("streams")) for _ in range(CREWS)]
            bystanders, readers = (block.enter_context(Crew(kind)) for kind in ("bystanders", "readers"))
            server = block.enter_context(Server(contestant, cell, prepared))
            cookie = (prepared / "cookie").read_text()
            streams = Streams(crews, server.port, cookie)
            block.callback(streams.cut)
            streams.warm_up(cell.workers)
            result = WORKLOADS[cell.workload](Scene(server, streams, bystanders, readers, cell, timing, cookie))
            return {**result, "ended": server.ended()}
    except MissingDependencyError as error:
        return {"missing": f"{error}"}
    except (LabError, OSError) as error:
        return {"failed": f"{error}", "logs": server.last_words if server else ""}


def check_descriptors(cell: Cell, contestant: Contestant) -> None:
    """Raises LabError where a process of the contestant would need more than one may have here."""
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    if (needed := cell.streams * contestant.descriptors + ROOM) > limit:
        raise LabError(f"needs {needed:,} descriptors in one process, the limit is {limit:,} (ulimit -Hn)")


def raise_limits() -> int:
    """As many descriptors as the system allows, for us and for all that we start; how many that is."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard


@contextmanager
def prepared() -> Iterator[Path]:
    """A folder with what every contestant starts with: database, visitor, file; see bench/site/prepare.py."""
    folder = short_private_folder()
    try:
        words = {**os.environ, "BENCH_RUN": str(folder), "BENCH_URLS": "urls", "BENCH_WAY": "itself"}
        command = [sys.executable, "-m", "bench.site.prepare"]
        try:
            answer = subprocess.run(command, env=words, cwd=ROOT, capture_output=True, text=True, timeout=PREPARE_S)
        except subprocess.TimeoutExpired:
            raise LabError(f"Django was not prepared within {PREPARE_S:g} s; try again on a quieter machine") from None
        if answer.returncode:
            raise LabError(f"Django could not be prepared:\n{indent(answer.stderr)}")
        # somebody's keeper removes the folder if we are killed
        with Process("nobody", ["sleep", "infinity"], folder / "nobody.log", scratch=folder):
            yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
