"""The picture of clients in a row, and of the workers that died."""

from collections.abc import Mapping

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from offload_lab.plots.guesses import number
from offload_lab.plots.streams import frameless, title
from offload_lab.plots.timeline import FREE, INK, STUCK

from .notebook import CaseResult


def clients_in_a_row(cases: Mapping[str, CaseResult], guess: float | None, guess_at: str) -> Figure:
    """A row for each case: a dot for an event, a cross for an empty reply, and below it the worker.

    A worker's line ends where it died. The guess stands in the row `guess_at`, beside the number that was served.
    """
    figure = Figure(figsize=(10, 1.75 * len(cases) + 0.4), facecolor="white", layout="constrained")
    panels = figure.subplots(len(cases), 1, sharex=True, squeeze=False)[:, 0]
    for axes, (name, result) in zip(panels, cases.items(), strict=True):
        draw_row(axes, result)
        label = f"{name}: {result.served} of {len(result.clients)} served, {plural(result.workers, 'worker')}"
        if guess is not None and name == guess_at:
            label += f"   (your guess: {number(guess)})"
        title(axes, label, FREE if result.served == len(result.clients) else STUCK)
    most = max(len(result.clients) for result in cases.values())
    panels[-1].set_xticks(range(most), [str(place + 1) for place in range(most)], fontsize=11, color=INK)
    panels[-1].set_xlabel("clients, one after the other; a dot is an event, a cross an empty reply", color=INK)
    return figure


def draw_row(axes: Axes, result: CaseResult) -> None:
    pids = [client.pid for client in result.clients] + [result.last_pid]
    for place, client in enumerate(result.clients):
        served = client.event is not None
        axes.plot(
            [place], [0], marker="o" if served else "X", markersize=13, color=FREE if served else STUCK, linestyle=""
        )
        same = pids[place + 1] == client.pid
        axes.plot([place - 0.4, place + (0.6 if same else 0.3)], [1, 1], color=INK, linewidth=2, solid_capstyle="butt")
        if place == 0 or pids[place - 1] != client.pid:
            axes.text(place - 0.4, 1.25, f"PID {client.pid}", ha="left", va="top", fontsize=9, color=INK)
    axes.set_ylim(2.1, -0.7)
    axes.set_xlim(-0.8, len(result.clients) - 0.1)
    axes.set_yticks([0, 1], ["response", "worker"], fontsize=11)
    axes.tick_params(left=False, bottom=False, colors=INK)
    frameless(axes)


def plural(count: int, what: str) -> str:
    return f"{count} {what}{'s' * (count != 1)}"
