"""For the notebooks about open streams: many recordings at once, and two tables."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from itertools import groupby
from typing import Any

from rich.table import Table

from offload_lab.measure import load as crowds
from offload_lab.measure import scenarios
from offload_lab.measure.load import LoadResult
from offload_lab.measure.model import Recording
from offload_lab.measure.streams import HeldSocket, held_sockets
from offload_lab.stages.stage import Stage
from offload_lab.system import no_thread_waits

from .display import progress, show_table


def record_side_by_side(
    step: str, variants: Sequence[str], counts: Sequence[int], *, placeholders: dict[str, str], **options: Any
) -> dict[tuple[str, int], Recording]:
    """`measure.record_streams` for each number of streams, one after the other, on all variants at the same time.

    Where Django streams, only the next event notices that the client left: so `placeholders` need a short ``tick_s``.
    """
    shares = dict.fromkeys(variants, 0.0)

    def record_counts(variant: str) -> list[Recording]:
        with Stage(step, variant, placeholders=placeholders) as stage:
            recordings = []
            for place, count in enumerate(counts):
                recordings.append(scenarios.record_streams(stage, count=count, **options))
                shares[variant] = (place + 1) / len(counts)
            return recordings

    with progress(" and ".join(variants)) as done, ThreadPoolExecutor(len(variants)) as pool:
        running = {variant: pool.submit(record_counts, variant) for variant in variants}
        while not all(run.done() for run in running.values()):
            done(sum(shares.values()) / len(shares))
            wait(running.values(), timeout=0.2)
    return {
        (v, count): recording for v in variants for count, recording in zip(counts, running[v].result(), strict=True)
    }


def record_load(step: str, variant: str, streams: int, **options: Any) -> LoadResult:
    """Start the variant with room for that many, take `crowd.record_crowd`, stop the variant."""
    crowds.make_room(streams)
    with progress(f"{variant}, {streams:,} streams") as done, Stage(step, variant) as stage:
        return crowds.record_load(stage, streams, progress=done, **options)


def who_holds_what(stage: Stage, before: Sequence[HeldSocket] = ()) -> None:
    """Every socket of the stage's workers that was not among `before`, by the thread that waits on it."""
    known = {(socket.pid, socket.fd) for socket in before}
    held = [socket for socket in held_sockets(stage) if (socket.pid, socket.fd) not in known]
    rows = Table("worker of", "PID", "thread", "waits for", "descriptors")
    for (process, pid, tid), sockets in groupby(
        sorted(held, key=by_thread), lambda socket: (socket.process, socket.pid, socket.tid)
    ):
        thread = no_thread_waits() if tid is None else "the main thread" if tid == pid else f"offload thread {tid}"
        for what, same in groupby(sockets, lambda socket: socket.what):
            descriptors = [str(socket.fd) for socket in same]
            rows.add_row(process, str(pid), thread, f"{len(descriptors)} x {what}", ", ".join(descriptors))
    show_table(rows)


def by_thread(socket: HeldSocket) -> tuple[str, int, int, str, int]:
    return socket.process, socket.pid, socket.tid or 0, socket.what, socket.fd


def crowd_table(crowd: LoadResult) -> None:
    """What each stream cost, by process."""
    rows = Table(
        "worker of", "MiB before", "MiB beside them", "KiB a stream", "descriptors a stream", "CPU beside them"
    )
    for name, (before, first, last) in crowd.workers.items():
        kib = (last.memory_mib - before.memory_mib) * 1024 / crowd.streams
        descriptors = (last.descriptors - before.descriptors) / crowd.streams
        cpu = (last.cpu_s - first.cpu_s) / crowd.watched_s
        numbers = [
            f"{before.memory_mib:.1f}",
            f"{last.memory_mib:.1f}",
            f"{kib:.1f}",
            f"{descriptors:.1f}",
            f"{cpu:.0%}",
        ]
        rows.add_row(name, *numbers)
    show_table(rows)
