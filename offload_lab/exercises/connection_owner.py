"""Which worker and which thread have a slow client's connection."""

import os
import re
from contextlib import suppress
from pathlib import Path

from offload_lab.clients import SlowReader
from offload_lab.inspect import Connection, Snapshot, Worker, take_snapshot
from offload_lab.process.polling import wait_for
from offload_lab.stages.stage import Stage
from offload_lab.system import is_linux

from .stuck_workers import STUCK_S

SETTLED_S = 5.0


def wait_for_owner(stage: Stage, reader: SlowReader) -> tuple[Snapshot, Connection | None]:
    """The snapshot in which a thread sends the body, and the client's connection; None if that was closed.

    A busy worker proves nothing: each request keeps it busy for a moment, an offloaded one too, and so does one that
    fails after its headers. So a byte of the body has to be there, and a thread that waits on the socket. Where the
    system does not show threads, uWSGI's count of offloaded requests decides, which is certain once the worker is idle
    or stays busy.
    """
    found: list[Snapshot] = []

    def settled() -> bool:
        # both before the snapshot: what happens during it may be newer than what it shows
        has_ended, has_body = reader.done.is_set(), reader.has_body
        found[:] = [take_snapshot(stage.step, stage.variant, stage.run)]
        held = connection(found[0], reader.port)
        worker = worker_of(found[0], held)
        if worker and worker.unseen:
            return has_ended or (has_body and (not worker.busy or stays_busy(worker)))
        return has_ended or (has_body and bool(held and held.tid))

    with suppress(TimeoutError):
        wait_for(settled, SETTLED_S, "a thread that sends to the client")
    return found[0], connection(found[0], reader.port)


def connection(snapshot: Snapshot, port: int) -> Connection | None:
    """The connection of the client with this port."""
    return next((held for held in snapshot.connections if held.client.endswith(f":{port}")), None)


def worker_of(snapshot: Snapshot, held: Connection | None) -> Worker | None:
    """The front's worker that has this connection, None if none has."""
    pid = held and held.pid
    return next((worker for worker in snapshot.front.workers if worker.pid == pid), None)


def stays_busy(worker: Worker) -> bool:
    """uWSGI tells only the second in which a request began: more than one later is more than STUCK_S."""
    return any(request.since_s > STUCK_S for request in worker.requests)


def open_file_position(pid: int, folder: Path) -> int | None:
    """The position of the file in `folder` that `pid` has open, in bytes; 0 if there is none, None if not told."""
    if not is_linux():
        return None
    with suppress(OSError):
        for descriptor in Path(f"/proc/{pid}/fd").iterdir():
            path = os.readlink(descriptor)
            if path.startswith(f"{folder}/") and not path.endswith((".log", ".sock")):
                info = Path(f"/proc/{pid}/fdinfo/{descriptor.name}").read_text()
                return int(re.findall(r"pos:\s+(\d+)", info)[0])
    return 0


def owner_in_words(snapshot: Snapshot, held: Connection | None) -> str:
    """The owner of the connection, for the test of a task: "an offload thread" if the answer is right."""
    worker = worker_of(snapshot, held)
    if worker is None or held is None:
        return "no thread: the connection was closed"
    if held.tid in worker.offload_tids or (worker.unseen and worker.offloaded):
        return "an offload thread"
    if worker.threads_unknown and held.tid != worker.pid and not worker.unseen:
        return "a thread that may or may not be an offload thread: offload-threads is no number that can be read"
    return "the worker itself, which is busy with it"
