"""A recording → the numbers to compare, and a table of them."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from rich import box
from rich.table import Table

from .model import Recording


@dataclass(frozen=True)
class Summary:
    """One row. Waits in ms, of the bystanders sent while the transfer was slow or open; infinite without an answer.

    `gaps` of `samples` could not be read, so `peak_mib` and `offloaded` may be too low.
    """

    step: str
    variant: str
    asked: int
    answered_meanwhile: int
    median_ms: float
    worst_ms: float
    peak_mib: float
    offloaded: int
    gaps: int = 0
    samples: int = 0


def summarise(recording: Recording) -> Summary:
    transfer = recording.transfer
    meanwhile = [bystander for bystander in recording.bystanders if transfer.began <= bystander.sent < transfer.hurried]
    waits = [probe.wait_ms for probe in meanwhile]
    return Summary(
        step=recording.step,
        variant=recording.variant,
        asked=len(meanwhile),
        answered_meanwhile=sum(
            bystander.answered is not None and bystander.answered < transfer.hurried for bystander in meanwhile
        ),
        median_ms=statistics.median(waits) if waits else float("nan"),
        worst_ms=max(waits, default=float("nan")),
        peak_mib=peak_worker_mib(recording),
        offloaded=offloaded(recording),
        gaps=len(recording.gaps),
        samples=len(recording.samples),
    )


def peak_worker_mib(recording: Recording) -> float:
    """The most memory that any one worker of the front was seen with, in MiB."""
    seen = [
        sample.memory_mib.get(str(worker["pid"]), 0.0)
        for sample in recording.seen
        for worker in sample.workers
        if worker["front"]
    ]
    return max(seen, default=0.0)


def offloaded(recording: Recording) -> int:
    """How many requests were offloaded between the first sample and the last."""
    totals = [sum(int(worker["offloaded"]) for worker in sample.workers) for sample in recording.seen]
    return totals[-1] - totals[0] if totals else 0


def table(recordings: Sequence[Recording], narrow: bool = False) -> Table:
    """One row a recording; the ratio is to the median wait of the recording marked as reference, if one is.

    The whole table is 80 columns wide; a `narrow` one fits into 60, without the columns that follow from the median.
    """
    rows = [summarise(recording) for recording in recordings]
    base = next((row for row, recording in zip(rows, recordings, strict=True) if recording.reference), None)
    drawn = Table(
        title="A long-lived client, and bystanders",
        title_justify="left",
        caption_justify="left",
        box=box.SIMPLE_HEAD,
        pad_edge=False,
    )
    drawn.add_column("variant", no_wrap=True)
    against = f"wait vs\n{base.variant}" if base else "wait vs\n-"
    left_out = {"worst\nms", against} if narrow else set()
    headings = ("answered\nmeanwhile", "median\nms", "worst\nms", against, "worker's\npeak MiB", "off-\nloaded")
    for heading in headings:
        if heading not in left_out:
            drawn.add_column(heading, justify="right")
    for row in rows:
        cells = (
            f"{row.answered_meanwhile} of {row.asked}",
            f"{row.median_ms:,.1f}",
            f"{row.worst_ms:,.1f}",
            f"{row.median_ms / base.median_ms:,.0f} x" if base else "",
            f"{row.peak_mib:,.0f}",
            str(row.offloaded),
        )
        drawn.add_row(
            f"{row.step.partition('_')[0]} {row.variant}",
            *(cell for heading, cell in zip(headings, cells, strict=True) if heading not in left_out),
            style="" if row.answered_meanwhile == row.asked else "bold red",
        )
    drawn.caption = "\n".join(gap_notes(recordings)) or None
    return drawn


def gap_notes(recordings: Sequence[Recording]) -> list[str]:
    """A sentence for each recording with gaps."""
    return [
        f"{recording.step.partition('_')[0]} {recording.variant}: {len(recording.gaps)} of {len(recording.samples)}"
        f" samples show nothing ({recording.gaps[0].gap}); its peak and its offloaded requests may be more"
        for recording in recordings
        if recording.gaps
    ]
