"""Runs one cell: starts the server under test and the load generator, applies the workload, returns the result."""

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

from .aggregate import Result
from .load_generator import LoadProcess, Streams, stream_processes
from .plan import Cell, Timing
from .server import SPARE_DESCRIPTORS, Server
from .specs import ServerSpec
from .workloads import WORKLOADS, Scene

PREPARE_S = 120.0


def measure(cell: Cell, spec: ServerSpec, timing: Timing, prepared: Path) -> Result:
    """The numbers, or {"missing": why} or {"failed": why}: a server that is absent or crashes is a result, too."""
    server = None
    try:
        spec.check()
        check_descriptors(cell, spec)
        with ExitStack() as stack:
            processes = [stack.enter_context(LoadProcess("streams")) for _ in range(stream_processes(cell.streams))]
            probes, readers = (stack.enter_context(LoadProcess(kind)) for kind in ("probes", "readers"))
            server = stack.enter_context(Server(spec, cell, prepared))
            cookie = (prepared / "cookie").read_text()
            streams = Streams(processes, server.port, cookie)
            stack.callback(streams.cut)
            streams.warm_up(cell.workers)
            result = WORKLOADS[cell.workload](Scene(server, streams, probes, readers, cell, timing, cookie))
            return {**result, "ended": server.ended()}
    except MissingDependencyError as error:
        return {"missing": f"{error}"}
    except (LabError, OSError) as error:
        return {"failed": f"{error}", "logs": server.last_logs if server else ""}


def check_descriptors(cell: Cell, spec: ServerSpec) -> None:
    """Raises: LabError where a process would need more descriptors than one may have here, if all share evenly."""
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    passes = spec.kind == "offload" and spec.descriptors == 1  # then its backends hold the streams
    share = cell.streams * spec.descriptors // (cell.backends if passes else cell.workers)
    if (needed := share + SPARE_DESCRIPTORS) > limit:
        raise LabError(f"needs {needed:,} descriptors in one process, the limit is {limit:,} (ulimit -Hn)")


def raise_limits() -> int:
    """Set the soft limit of descriptors to the hard one, for this process and all that it starts; the new limit."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard


@contextmanager
def prepared() -> Iterator[Path]:
    """A folder with what every server starts with: database, session cookie, file; see bench/site/prepare.py."""
    folder = short_private_folder()
    try:
        env = {**os.environ, "BENCH_RUN": str(folder), "BENCH_URLS": "urls", "BENCH_WAY": "itself"}
        command = [sys.executable, "-m", "bench.site.prepare"]
        try:
            done = subprocess.run(command, env=env, cwd=ROOT, capture_output=True, text=True, timeout=PREPARE_S)
        except subprocess.TimeoutExpired:
            raise LabError(f"Django was not prepared within {PREPARE_S:g} s; try again on a quieter machine") from None
        if done.returncode:
            raise LabError(f"Django could not be prepared:\n{indent(done.stderr)}")
        # if this process is killed, the supervisor of this one removes the folder
        with Process("placeholder", ["sleep", "infinity"], folder / "placeholder.log", scratch=folder):
            yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
