"""The talk, two decks from one file: ``docs/talk/talk.md``, with what was measured filled in from recordings.

A slide begins with ``## Title`` and a comment, ``<!-- 4 min; half; guess -->``: its minutes; `half`, if only the half
day has it; its look. Below a line ``???`` stand the speaker's notes. ``{{kind arguments}}`` is filled in: see FILLERS.
"""

import re
import shutil
import textwrap
from collections.abc import Callable
from dataclasses import dataclass
from html import escape
from pathlib import Path

from offload_lab.errors import LabError
from offload_lab.exercises import regions
from offload_lab.live.recording import LiveRecording
from offload_lab.measure.model import Recording
from offload_lab.measure.report import summarise
from offload_lab.paths import ROOT

from . import talk_pictures
from .slide_blocks import COMMENT, markdown
from .slides import HERE, SLIDES, add_reveal, whole_page

SOURCE = ROOT / "docs" / "talk" / "talk.md"
FIGURES, RECORDINGS = ROOT / "docs" / "figures", ROOT / "docs" / "recordings"
DECKS = {"talk-90": 90, "talk-210": 210}  # minutes
MOST_LINES = 12  # of code on a slide
BEGINS = re.compile(r"^## (.+)\n<!-- (\d+) min(.*?) -->\n", re.MULTILINE)
TO_FILL = re.compile(r"\{\{(\w+) ([^}]+)\}\}")
REMARK = re.compile(r"  # .*$")
BRACKETS = re.compile(r" \(.*\)$")


@dataclass(frozen=True)
class TalkSlide:
    title: str
    minutes: int
    in_short: bool
    look: str
    body: str
    notes: str


def slides(source: str) -> list[TalkSlide]:
    """All slides of the talk's `source`, with nothing filled in."""
    parts = BEGINS.split(source)[1:]
    made = []
    for title, minutes, words, text in zip(parts[::4], parts[1::4], parts[2::4], parts[3::4], strict=True):
        marks = [word.strip() for word in words.split(";") if word.strip()]
        body, _, notes = text.partition("\n???\n")
        looks = [mark for mark in marks if mark != "half"]
        made.append(TalkSlide(title, int(minutes), "half" not in marks, " ".join(looks), body.strip(), notes.strip()))
    return made


def chosen(every: list[TalkSlide], minutes: int) -> list[TalkSlide]:
    return every if minutes > min(DECKS.values()) else [slide for slide in every if slide.in_short]


def write_all(into: Path = SLIDES) -> list[Path]:
    """Both decks, with what they need beside them.

    Raises:
        LabError: something to fill in is not there.
    """
    add_reveal(into)
    shutil.copy(HERE / "talk.css", into)
    every = slides(SOURCE.read_text(encoding="utf-8"))
    made = []
    for name, minutes in DECKS.items():
        deck = chosen(every, minutes)
        content = "\n".join(section(slide, into) for slide in deck)
        (into / f"{name}.html").write_text(whole_page(deck[0].title, content, "talk.css"), encoding="utf-8")
        made.append(into / f"{name}.html")
    return made


def section(slide: TalkSlide, into: Path) -> str:
    """One slide as HTML; the files that it shows are put into `into`."""
    try:
        body, notes = filled(slide.body, into), filled(slide.notes, into)
    except (KeyError, OSError, AttributeError, StopIteration) as error:
        raise LabError(f"slide {slide.title!r} of docs/talk/talk.md: there is no {error}") from error
    tag = "h1" if "first" in slide.look else "h2"
    head = f"<{tag}>{markdown.renderInline(slide.title)}</{tag}>"
    aside = f'<aside class="notes"><p>{slide.minutes} minutes</p>{markdown.render(notes)}</aside>'
    return f'<section class="{slide.look}">{head}\n{markdown.render(body)}\n{aside}</section>'


# --- what is filled in


def filled(text: str, into: Path) -> str:
    def fill(match: re.Match[str]) -> str:
        return FILLERS[match[1]](into, *(word.strip() for word in match[2].split("|")))

    return TO_FILL.sub(fill, text)


def figure(into: Path, name: str) -> str:
    """An SVG of docs/figures."""
    shutil.copy(FIGURES / f"{name}.svg", into)
    return f'<img class="figure" src="{name}.svg" alt="">'


def live(into: Path, number: str) -> str:
    """The replay of a live view; it begins when its slide is shown."""
    page = into / f"live-{number}.html"
    page.write_text(LiveRecording.load(RECORDINGS / f"live-{number}.json").page(), encoding="utf-8")
    return f'<iframe data-src="{page.name}" title="the replay of ./lab live {number}"></iframe>'


def code(into: Path, path: str, region: str = "") -> str:
    """A file's marked region, or its lines that contain `region`, without comments.

    Raises:
        LabError: more than MOST_LINES.
    """
    text = (ROOT / path).read_text(encoding="utf-8")
    marked = region in regions.regions(text)
    lines = regions.body(text, region).splitlines() if marked else [row for row in text.splitlines() if region in row]
    lines = textwrap.dedent("\n".join(REMARK.sub("", line) for line in lines)).splitlines()
    lines = [line for line in lines if line.strip() and not COMMENT.match(line)]
    if not 0 < len(lines) <= MOST_LINES:
        raise LabError(f"{path}, {region}: {len(lines)} lines; a slide has 1 to {MOST_LINES}")
    rows = "".join(f"<div>{escape(line)}</div>" for line in lines)
    return f'<p class="caption">{Path(path).name}</p><pre>{rows}</pre>'


def measured(into: Path, recording: str, what: str) -> str:
    """A number of a recording's summary."""
    value = getattr(summarise(Recording.load(RECORDINGS / f"{recording}.json")), what)
    return f"{value:,.0f}" if value >= 10 or isinstance(value, int) else f"{value:.1f}"


def waits(into: Path, *recordings: str) -> str:
    return talk_pictures.waits([Recording.load(RECORDINGS / f"{name}.json") for name in recordings])


def rows_of(document: str, block: str) -> list[list[str]]:
    """The cells of a table that is computed from recordings: the one in `block` of a document."""
    text = (ROOT / document).read_text(encoding="utf-8").partition(f"<!-- {block} -->")[2].partition("<!-- end -->")[0]
    lines = [line for line in text.splitlines() if line.startswith("|")]
    rows = [[BRACKETS.sub("", cell.strip()) for cell in line.strip("|").split("|")] for line in lines]
    if not rows:
        raise KeyError(f"table {block} in {document}")
    return [rows[0], *rows[2:]]


def cell(into: Path, document: str, block: str, row: str, column: str) -> str:
    heads, *rows = rows_of(document, block)
    return next(one for one in rows if one[0] == row)[heads.index(column)]


def table(into: Path, document: str, block: str, wanted: str, columns: str = "") -> str:
    """The `wanted` rows, by their first cells, and the `columns` by their heads, or all; divided by semicolons."""
    heads, *rows = rows_of(document, block)
    names = [name.strip() for name in wanted.split(";")]
    places = [0, *(heads.index(name.strip()) for name in columns.split(";"))] if columns else list(range(len(heads)))
    shown = [heads, *(next(row for row in rows if row[0] == name) for name in names)]
    lines = [f"| {' | '.join(row[place] for place in places)} |" for row in shown]
    return "\n".join([lines[0], "|---" + "|--:" * (len(places) - 1) + "|", *lines[1:]])


def bars(into: Path, document: str, block: str, wanted: str, column: str) -> str:
    """The `wanted` rows of one column, with names as they are or, behind =, as they are to be shown."""
    pairs = [name.strip().partition("=") for name in wanted.split(";")]
    return talk_pictures.bars([(shown or name, cell(into, document, block, name, column)) for name, _, shown in pairs])


FILLERS: dict[str, Callable[..., str]] = {
    "figure": figure,
    "live": live,
    "code": code,
    "measured": measured,
    "cell": cell,
    "table": table,
    "waits": waits,
    "bars": bars,
}
