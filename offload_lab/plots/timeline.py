"""The signature picture of recordings: over time, each worker's state, the transfer, and every bystander's wait.

Opaque and without grey on grey, for print and for dark notebooks.
"""

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine

from offload_lab.measure.model import Recording, Sample
from offload_lab.measure.report import summarise

# Okabe and Ito's colour-blind safe palette
STUCK, FREE, TRANSFER, INK = "#D55E00", "#0072B2", "#E69F00", "#222222"
UNSEEN = "#DDDDDD"
WORKER_LANE, TRANSFER_LANE, CROWD_TOP = 0.0, 1.0, 1.8
CROWD_HEIGHT = 2.4
CAPTION = CROWD_TOP + CROWD_HEIGHT + 0.3
LANE_HEIGHT = 0.62
SHORTEST_S = 0.02  # the shortest visible mark


def signature(recordings: Sequence[Recording]) -> Figure:
    """One panel for each recording, all on the same time axis."""
    height = 2.5 * len(recordings) + 1.0
    figure = Figure(figsize=(10, height), facecolor="white", layout=ConstrainedLayoutEngine(h_pad=0.12))
    panels = figure.subplots(len(recordings), 1, sharex=True, squeeze=False)[:, 0]
    for axes, recording in zip(panels, recordings, strict=True):
        draw_panel(axes, recording)
    panels[-1].set_xlabel("seconds")
    panels[-1].set_xlim(0, max(map(last_moment, recordings)) + 0.15)
    return figure


def save(figure: Figure, path: Path, title: str = "") -> Path:
    """Write `figure` in the format of the suffix of `path`.

    An SVG has its text as text, `title` for screen readers, and no date: same recording, same file.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    metadata = {"Date": None} | ({"Title": title} if title else {})
    with rc_context({"svg.hashsalt": "offload-lab", "svg.fonttype": "none"}):  # else the ids in an SVG are random
        figure.savefig(path, dpi=150, metadata=metadata if path.suffix == ".svg" else None)
    return path


def draw_panel(axes: Axes, recording: Recording) -> None:
    row = summarise(recording)
    all_answered = row.answered_meanwhile == row.asked
    axes.set_title(
        f"{recording.variant}: {row.answered_meanwhile} of {row.asked} bystanders {recording.transfer.meanwhile}",
        loc="left",
        fontsize=13,
        fontweight="bold",
        color=FREE if all_answered else STUCK,
    )
    axes.set_ylim(CAPTION + 0.3, -0.5)
    axes.set_yticks([WORKER_LANE, TRANSFER_LANE, CROWD_TOP + CROWD_HEIGHT / 2])
    axes.set_yticklabels(
        [f"worker\n{front_pids(recording)}", recording.transfer.name, "bystanders"], fontsize=11, color=INK
    )
    axes.tick_params(left=False)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    draw_worker(axes, recording)
    draw_transfer(axes, recording)
    draw_bystanders(axes, recording)


def bar(axes: Axes, lane: float, start: float, end: float, colour: str, hatch: str = "") -> None:
    """A bar across `lane`; the hatch carries the meaning where colours do not."""
    axes.barh(
        lane, end - start, left=start, height=LANE_HEIGHT, color=colour, hatch=hatch, edgecolor="white", linewidth=0
    )


def label(axes: Axes, x: float, lane: float, text: str, colour: str = INK) -> None:
    axes.text(
        x, lane, text, va="center", ha="left", fontsize=10, color=colour,
        bbox={"facecolor": "white", "edgecolor": "none", "pad": 1.5},
    )  # fmt: skip


def last_moment(recording: Recording) -> float:
    answered = (bystander.answered for bystander in recording.bystanders if bystander.answered is not None)
    return max(recording.transfer.ended, *answered, 0.0)


def front_busy(sample: Sample) -> bool:
    return any(worker["busy"] for worker in sample.workers if worker["front"])


def front_pids(recording: Recording) -> str:
    pids = {worker["pid"] for sample in recording.samples for worker in sample.workers if worker["front"]}
    return ", ".join(str(pid) for pid in sorted(pids))


def busy_spans(samples: Sequence[Sample]) -> list[tuple[float, float, bool | None]]:
    """(from, to, whether the front's worker was busy) from sample to sample; equal neighbours are joined.

    None instead of busy: a gap.
    """
    spans: list[tuple[float, float, bool | None]] = []
    for sample, after in pairwise(samples):
        busy = None if sample.gap else front_busy(sample)
        if spans and spans[-1][2] == busy:
            spans[-1] = (spans[-1][0], after.at, busy)
        else:
            spans.append((sample.at, after.at, busy))
    return spans


def draw_worker(axes: Axes, recording: Recording) -> None:
    for start, end, busy in busy_spans(recording.samples):
        if busy is None:
            bar(axes, WORKER_LANE, start, end, UNSEEN, "....")
            axes.text(start, WORKER_LANE + 0.45, "no sample", va="center", ha="left", fontsize=8, color=INK)
        else:
            bar(axes, WORKER_LANE, start, end, STUCK if busy else FREE, "////" if busy else "")
    middle = [sample for sample in recording.seen if during(recording, sample)]
    stuck = sum(front_busy(sample) for sample in middle) > len(middle) / 2
    text = "no sample" if not middle else "busy with one client" if stuck else "idle"
    label(axes, recording.transfer.began + 0.1, WORKER_LANE, text)


def during(recording: Recording, sample: Sample) -> bool:
    return recording.transfer.began < sample.at < recording.transfer.hurried


def draw_transfer(axes: Axes, recording: Recording) -> None:
    transfer = recording.transfer
    bar(axes, TRANSFER_LANE, transfer.began, transfer.ended, TRANSFER)
    label(axes, transfer.began + 0.1, TRANSFER_LANE, f"served by {owner(recording)}")


def owner(recording: Recording) -> str:
    """The thread that waited on the client's socket in most samples."""
    middle = [sample for sample in recording.seen if during(recording, sample)]
    seen = [sample.holder for sample in middle if sample.holder]
    threads = [holder for holder in seen if holder["tid"] is not None]
    if not seen:
        return "the kernel: all was sent at once" if middle else "no sample"
    if not threads:  # the worker is busy with something else, or this system shows no threads
        return "the worker itself" if any(map(front_busy, middle)) else "a process of the stage"
    own = sum(holder["tid"] == holder["pid"] for holder in threads) > len(threads) / 2
    return "the worker itself" if own else "an offload thread"


def draw_bystanders(axes: Axes, recording: Recording) -> None:
    """A line for each bystander from request to answer, the latest at the bottom."""
    bystanders = recording.bystanders
    step = CROWD_HEIGHT / max(len(bystanders), 1)
    row = summarise(recording)
    label(
        axes,
        0.02,
        CAPTION,
        f"each line is a bystander, from request to answer; median wait {row.median_ms:,.1f} ms",
    )
    for place, bystander in enumerate(bystanders):
        y = CROWD_TOP + (place + 0.5) * step
        end = bystander.answered if bystander.answered is not None else recording.transfer.ended
        late = end - bystander.sent > 10 * SHORTEST_S
        colour = STUCK if late else FREE
        axes.plot(
            [bystander.sent, max(end, bystander.sent + SHORTEST_S)],
            [y, y],
            color=colour,
            linewidth=1.6,
            solid_capstyle="butt",
        )
        axes.plot([bystander.sent], [y], marker="|", markersize=5, color=colour)
        if late:
            axes.plot([end], [y], marker="o", markersize=3, color=colour)
