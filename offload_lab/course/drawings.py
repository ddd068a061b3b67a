"""Drawings of how a request goes through a step, from ``docs/figures/drawings.toml``, as SVG. No I/O but `renew`.

Text stays text, with a background of its own in light and in dark. A drawing is as wide as a slide, so its type is
large: 22 of 960.
"""

import math
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

from offload_lab.paths import ROOT

FIGURES = ROOT / "docs" / "figures"
SOURCE = FIGURES / "drawings.toml"
WIDTH, SIZE, LINE = 960, 22, 28
TOP, MIDDLE = 70, 226  # of the worker and of the offload threads, in the front
BOX_HEIGHT, GAP, ROW = 84, 18, 36
FRONT_TOP, FRONT_BOTTOM = 16, 334
THREADS = ("worker", "offload")
STYLE = """
svg { font: 22px "DejaVu Sans", Verdana, sans-serif }
.paper { fill: #fff } text, .head { fill: #222 } .over { stroke: #fff; stroke-width: 6; paint-order: stroke }
.strong { font-weight: bold }
.box { fill: #fff; stroke: #222; stroke-width: 2 } .process { fill: #eef2f5; stroke: #777; stroke-width: 2 }
.offload { fill: #d4e9f7; stroke: #0072b2; stroke-width: 3 } .store { fill: #fff; stroke: #777; stroke-width: 2 }
.busy { fill: #fbe0cc; stroke: #d55e00; stroke-width: 3 }
.call { stroke: #222; stroke-width: 2; stroke-dasharray: 7 5; fill: none } .lane { stroke: #777; stroke-width: 2 }
.bytes { stroke: #0072b2; stroke-width: 5; fill: none }
.waits { stroke: #d55e00; stroke-width: 3; stroke-dasharray: 2 6; fill: none }
.fd { fill: #0072b2; stroke: #fff; stroke-width: 2 } .badge { fill: #222 } text.digit { fill: #fff; font-weight: bold }
"""
DARK = """@media (prefers-color-scheme: dark) {
.paper { fill: #16191d } text, .head { fill: #eee } .box { fill: #16191d; stroke: #eee } .process { fill: #23282e }
.offload { fill: #0b3550; stroke: #56b4e9 } .store { fill: #16191d } .busy { fill: #57280a; stroke: #f08a4b }
.call { stroke: #eee } .bytes { stroke: #56b4e9 } .waits { stroke: #f08a4b } .fd { fill: #56b4e9; stroke: #16191d }
.badge { fill: #eee } .over { stroke: #16191d } text.digit { fill: #16191d }
}
"""


@dataclass(frozen=True)
class Box:
    x: float
    y: float
    width: float
    height: float
    text: Sequence[str]
    kind: str

    @property
    def middle(self) -> float:
        return self.y + self.height / 2

    @property
    def right(self) -> float:
        return self.x + self.width

    def svg(self) -> str:
        begin = self.middle - LINE * (len(self.text) - 1) / 2 + SIZE / 3
        lines = (
            text(self.x + self.width / 2, begin + LINE * row, line, "strong" if row == 0 else "", "middle")
            for row, line in enumerate(self.text)
        )
        rounded = 20 if self.kind == "client" else 4
        look = "box" if self.kind == "client" else self.kind
        place = f'x="{self.x:g}" y="{self.y:g}" width="{self.width:g}" height="{self.height:g}"'
        return f'<rect class="{look}" {place} rx="{rounded}"/>{"".join(lines)}'


def drawings() -> Mapping[str, str]:
    """Each drawing's file name and its SVG."""
    every = tomllib.loads(SOURCE.read_text(encoding="utf-8"))
    made = {f"architecture-{name}.svg": architecture(one) for name, one in every["architecture"].items()}
    return made | {f"sequence-{name}.svg": sequence(one) for name, one in every["sequence"].items()}


def renew(folder: Path = FIGURES) -> list[Path]:
    for name, content in drawings().items():
        (folder / name).write_text(content, encoding="utf-8")
    return [folder / name for name in drawings()]


# --- an architecture


def architecture(described: Mapping[str, Any]) -> str:
    boxes = lay_out(described)
    front = Box(boxes["worker"].x - 20, FRONT_TOP, boxes["worker"].width + 40, FRONT_BOTTOM - FRONT_TOP, (), "process")
    arrows = [drawn for one in described["arrows"] for drawn in arrow(boxes, *one)]
    says = list(captions(described["says"], FRONT_BOTTOM + 2 * LINE))
    height = FRONT_BOTTOM + LINE * (3 + len(says))
    dot = descriptor(24, height - LINE)
    legend = text(42, height - LINE + 8, "a descriptor, at the thread that waits on it")
    title = text(front.x + front.width / 2, FRONT_TOP + 34, "front: uWSGI", "strong", "middle")
    parts = [front.svg(), title, *(box.svg() for box in boxes.values()), *arrows, *says, dot, legend]
    return document(parts, height, described["alt"])


def lay_out(described: Mapping[str, Any]) -> dict[str, Box]:
    """Columns from left to right. The client that stays is beside the offload threads, the bystander by the worker."""
    has_proxy = "proxy" in described
    front_x, front_width, right_x = (372, 250, 740) if has_proxy else (310, 260, 720)
    boxes = {}
    for name, top in zip(described["clients"], (MIDDLE, TOP), strict=False):
        boxes[name] = Box(10, top, 136 if has_proxy else 190, BOX_HEIGHT, [name], "client")
    if has_proxy:
        boxes["proxy"] = Box(226, MIDDLE - 40, 84, BOX_HEIGHT + 40, described["proxy"], "process")
    holds = any("worker" in one[:2] and one[-1] == "bytes" for one in described["arrows"])
    boxes["worker"] = Box(front_x, TOP, front_width, BOX_HEIGHT, described["worker"], "busy" if holds else "box")
    if "offload" in described:
        boxes["offload"] = Box(front_x, MIDDLE, front_width, BOX_HEIGHT, described["offload"], "offload")
    serves = described.get("serves", ())
    heights = [GAP + LINE * (len(one["text"]) + 0.2) for one in serves]
    y = max(FRONT_TOP, MIDDLE + BOX_HEIGHT / 2 - (sum(heights) + 40 * (len(serves) - 1)) / 2)
    for one, height in zip(serves, heights, strict=True):
        boxes[one["name"]] = Box(right_x, y, WIDTH - 10 - right_x, height, one["text"], one.get("kind", "process"))
        y += height + 40
    return boxes


def arrow(boxes: Mapping[str, Box], start: str, end: str, badge: str, kind: str = "call") -> Iterator[str]:
    """The line from one box to another with its number, and a dot for the descriptor that a thread at its end has."""
    a, b = boxes[start], boxes[end]
    if kind == "bytes" and start not in THREADS and end not in (*THREADS, "proxy"):
        yield from past_the_front(a, b, badge)
        return
    if a.x == b.x:  # one above the other
        x1 = x2 = a.x + a.width / 2
        y1, y2 = a.y + a.height, b.y
    else:
        x1, x2 = (a.right, b.x) if a.x < b.x else (a.x, b.right)
        y1, y2 = a.middle, b.middle
        if kind == "call" and y1 != y2:  # apart from the bytes
            shift = math.copysign(24, y2 - y1)
            y1, y2 = y1 + shift, y2 - shift
    if kind == "bytes":
        yield f'<path class="bytes" d="M{x1:g} {y1:g} L{x2:g} {y2:g}"/>'
        for name, x, y in ((start, x1, y1), (end, x2, y2)):
            if name in THREADS or (boxes[name].kind == "process" and name != "proxy"):
                yield descriptor(x, y)
    else:
        yield f'<path class="{kind}" d="M{x1:g} {y1:g} L{x2:g} {y2:g}"/>{tip(x1, y1, x2, y2)}'
    yield from numbered((x1 + x2) / 2, (y1 + y2) / 2, badge)


def past_the_front(a: Box, b: Box, badge: str) -> Iterator[str]:
    """From below the client `a` to below the backend `b`, which has the client's own socket."""
    x1, x2, low = a.right - 40, b.x + 60, FRONT_BOTTOM + 8
    yield f'<path class="bytes" d="M{x1:g} {a.y + a.height:g} V{low:g} H{x2:g} V{b.y + b.height:g}"/>'
    yield descriptor(x2, b.y + b.height)
    yield from numbered((x1 + x2) / 2, low, badge)


def descriptor(x: float, y: float) -> str:
    return f'<circle class="fd" cx="{x:g}" cy="{y:g}" r="9"/>'


def numbered(x: float, y: float, badge: str) -> Iterator[str]:
    if badge:
        yield f'<circle class="badge" cx="{x:g}" cy="{y:g}" r="15"/>{text(x, y + 8, badge, "digit", "middle")}'


def tip(x1: float, y1: float, x2: float, y2: float) -> str:
    """The head of an arrow, turned along its line."""
    angle = math.degrees(math.atan2(y2 - y1, x2 - x1))
    return f'<path class="head" d="M0 0 L-14 -6 L-14 6 Z" transform="translate({x2:g} {y2:g}) rotate({angle:.1f})"/>'


def captions(says: Sequence[str], y: float) -> Iterator[str]:
    """What the numbers mean, as many on a line as fit."""
    line = ""
    for one in [*says, ""]:
        if not one or len(line) + len(one) > 66:
            yield text(16, y, line)
            y, line = y + LINE, ""
        line = f"{line} · {one}" if line else one


# --- a sequence


def sequence(described: Mapping[str, Any]) -> str:
    lanes, messages = described["lanes"], described["messages"]
    step = WIDTH / len(lanes)
    height = 96 + ROW * len(messages)
    centres = [step * (number + 0.5) for number in range(len(lanes))]
    parts = [f'<path class="lane" d="M{x:g} 60 V{height - 16:g}"/>' for x in centres]
    parts += [text(x, 40, name, "strong", "middle") for x, name in zip(centres, lanes, strict=True)]
    for row, (start, end, label) in enumerate(messages):
        y = 100 + ROW * row
        x1, x2 = centres[start], centres[end]
        if start == end:
            parts += [descriptor(x1, y - 8), text(x1 + 18, y, label, "over")]
            continue
        kind = "bytes" if label == "event" else "call"
        parts.append(f'<path class="{kind}" d="M{x1:g} {y:g} H{x2:g}"/>{tip(x1, y, x2, y)}')
        middle = (x1 + x2) / 2
        parts.append(text(middle, y - 8, label, "over", "middle"))
    return document(parts, height, described["alt"])


# --- SVG


def text(x: float, y: float, content: str, look: str = "", anchor: str = "start") -> str:
    marks = (f' class="{look}"' if look else "") + (f' text-anchor="{anchor}"' if anchor != "start" else "")
    return f'<text x="{x:g}" y="{y:g}"{marks}>{escape(content)}</text>'


def document(parts: Sequence[str], height: float, alt: str) -> str:
    about = f'viewBox="0 0 {WIDTH} {height:g}" role="img" aria-label="{escape(alt)}"'
    head = f'<svg xmlns="http://www.w3.org/2000/svg" {about}>'
    paper = f'<rect class="paper" width="{WIDTH}" height="{height:g}" rx="12"/>'
    return "\n".join([head, f"<style>{STYLE}{DARK}</style>", paper, *parts, "</svg>", ""])
