"""Pictures of the talk, as SVG from recordings: no more than the back row can read. No I/O."""

import math
from collections.abc import Sequence
from html import escape

from offload_lab.measure.model import Recording
from offload_lab.measure.report import summarise

from .drawings import text

WIDTH, HEIGHT, SIZE = 1200, 580, 28
LEFT, RIGHT = 170, 1180  # of the time axis
COLOURS = {"busy": "#d55e00", "free": "#0072b2", "transfer": "#e69f00"}
BAR_LEFT, BAR_RIGHT, LEAST_MS = 560, 1060, 0.5


def waits(recordings: Sequence[Recording]) -> str:
    """One panel for each recording: the transfer, and a line for each bystander, as long as it waited."""
    last = max(one.transfer.ended for one in recordings)
    panel = HEIGHT / len(recordings)
    return picture([part for row, one in enumerate(recordings) for part in panel_of(one, last, row * panel, panel)])


def panel_of(recording: Recording, last: float, top: float, height: float) -> list[str]:
    def at(second: float) -> float:
        return LEFT + (RIGHT - LEFT) * second / last

    row = summarise(recording)
    colour = COLOURS["free" if row.answered_meanwhile == row.asked else "busy"]
    title = f"{recording.variant}: {row.answered_meanwhile} of {row.asked} bystanders answered meanwhile"
    parts = [f'<g fill="{colour}">{text(0, top + 32, title, "strong")}</g>', text(0, top + 78, "download")]
    start, end = at(recording.transfer.began), at(recording.transfer.ended)
    parts.append(rectangle(start, top + 54, end - start, 30, COLOURS["transfer"]))
    parts.append(text(0, top + 122, "bystanders"))
    step = (height - 120) / max(len(recording.bystanders), 1)
    for number, one in enumerate(recording.bystanders):
        wait = (one.answered if one.answered is not None else last) - one.sent
        parts.append(rectangle(at(one.sent), top + 98 + number * step, max(at(wait) - LEFT, 6), step * 0.8, colour))
    return parts


def bars(rows: Sequence[tuple[str, str]]) -> str:
    """A bar for each row of a name and a number of milliseconds, on a logarithmic axis; any other value is endless."""
    numbers = [float(value.replace(",", "")) if value[:1].isdigit() else math.inf for _, value in rows]
    most = max(number for number in numbers if math.isfinite(number))
    step = HEIGHT / len(rows)
    parts = []
    for number, (name, value) in enumerate(rows):
        share = math.log(min(numbers[number], most) / LEAST_MS) / math.log(most / LEAST_MS)
        length = max((BAR_RIGHT - BAR_LEFT) * share, 6)
        y = step * number
        parts.append(text(BAR_LEFT - 20, y + step / 2 + 10, name, "", "end"))
        parts.append(rectangle(BAR_LEFT, y + step * 0.15, length, step * 0.7, COLOURS["free"]))
        parts.append(text(BAR_LEFT + length + 14, y + step / 2 + 10, value, "strong"))
    return picture(parts)


def rectangle(x: float, y: float, width: float, height: float, colour: str) -> str:
    return f'<rect x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}" fill="{colour}"/>'


def picture(parts: Sequence[str]) -> str:
    """On one line, so that Markdown takes it as it is."""
    font = escape("font-family: 'DejaVu Sans', Verdana, sans-serif")
    return (
        f'<svg class="figure" xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-size="{SIZE}" '
        f'fill="#222" style="{font}">{"".join(parts)}</svg>'
    )
