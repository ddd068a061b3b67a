"""Who carries a slow visitor: looked at until it can be told."""

import os
import re
from contextlib import suppress
from pathlib import Path

from offload_lab.clients import SlowReader
from offload_lab.inspect import Connection, Snapshot, Worker, take_snapshot
from offload_lab.process.polling import wait_for
from offload_lab.stages.stage import Stage
from offload_lab.system import is_linux

SETTLED_S = 5.0


def look_for_carrier(stage: Stage, reader: SlowReader) -> tuple[Snapshot, Connection | None]:
    """The facts, and the visitor's connection among them, once a thread waits on its socket. None: it was closed.

    A worker that is busy proves nothing: it is so for a moment with every request, the offloaded ones too. Where the
    system tells of no threads, a worker that is free does: then only an offload thread can have the connection.
    """
    found: list[Snapshot] = []

    def settled() -> bool:
        found[:] = [take_snapshot(stage.step, stage.variant, stage.run)]
        held = connection(found[0], reader.port)
        worker = worker_of(found[0], held)
        is_free = not is_linux() and worker is not None and not worker.busy
        return reader.done.is_set() or bool(held and held.tid) or is_free

    with suppress(TimeoutError):
        wait_for(settled, SETTLED_S, "a thread that waits on the visitor's socket")
    return found[0], connection(found[0], reader.port)


def connection(snapshot: Snapshot, port: int) -> Connection | None:
    """The connection of the visitor who came from `port`."""
    return next((one for one in snapshot.connections if one.client.endswith(f":{port}")), None)


def worker_of(snapshot: Snapshot, held: Connection | None) -> Worker | None:
    """The front's worker that has this connection."""
    pid = held and held.pid
    return next((worker for worker in snapshot.front.workers if worker.pid == pid), None)


def position_of_open_file(pid: int, folder: Path) -> int:
    """At which byte the file in `folder` that `pid` has open stands, by proc(5); 0 where there is none, or no /proc."""
    with suppress(OSError):
        for descriptor in Path(f"/proc/{pid}/fd").iterdir():
            path = os.readlink(descriptor)
            if path.startswith(f"{folder}/") and not path.endswith((".log", ".sock")):
                told = Path(f"/proc/{pid}/fdinfo/{descriptor.name}").read_text()
                return int(re.findall(r"pos:\s+(\d+)", told)[0])
    return 0


def carried_by(snapshot: Snapshot, held: Connection | None) -> str:
    """In words, for a test of a task: "an offload thread" where all is well."""
    worker = worker_of(snapshot, held)
    if worker is None or held is None:
        return "nobody: the connection was closed"
    if held.tid in worker.offload_tids or (not is_linux() and not worker.busy):
        return "an offload thread"
    if worker.threads_unknown and held.tid != worker.pid:
        return "a thread that may or may not be an offload thread: offload-threads is no number that can be read"
    return "the worker itself, which is busy with it"
