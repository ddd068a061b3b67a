"""A handout of each notebook, a deck made by rules from its executed copy; the talk is talk.py's.

A heading begins a slide, and so does what follows a question. What is short stays on it, long prose goes to the
speaker's notes. A picture has a slide of its own; tables and code end theirs, and of the code, only what a cell *shows*
or alters. The deck runs on reveal.js, which comes with sphinx-revealjs: nothing is loaded from elsewhere.
"""

import ast
import base64
import re
import shutil
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from importlib.util import find_spec
from pathlib import Path
from string import Template
from typing import Any

import nbformat

from offload_lab.paths import ROOT

from .book_pages import ASKED, FOR_THE_LEARNER, TYPE_IT, text_of
from .slide_blocks import (
    HEADING,
    LINE,
    ROOM,
    Piece,
    blocks,
    code,
    first_sentence,
    outputs,
    plain,
    render,
    shown,
    text_piece,
)

SLIDES = ROOT / "results" / "slides"
HERE = Path(__file__).parent
IN_FULL = ("Guess", "Your turn")  # chapters that the class has to read in full
PROSE = ("text", "item")
NOT_SHOWN = ("setup", "machine-look", "next", "next-lessons")  # cells for the learner's own machine
PICTURE = re.compile(r"!\[([^\]]*)\]\(([^)]+\.svg)\)")
BLANK = "Your guess: ______________"
REVEAL = ("dist/reveal.js", "dist/reveal.css", "dist/reset.css", "plugin/notes/notes.js", "LICENSE")


@dataclass
class Slide:
    title: str
    pieces: list[Piece] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    first: bool = False  # the title page

    @property
    def height(self) -> int:
        return sum(piece.height for piece in self.pieces)

    @property
    def look(self) -> str:
        """The class that deck.css knows: one sentence alone is written larger."""
        if self.first:
            return "first"
        alone = all(piece.kind in PROSE for piece in self.pieces)
        return "large" if alone and self.height < ROOM / 2.5 else self.pieces[-1].kind

    def takes(self, piece: Piece) -> bool:
        """Prose may be above a result, a list may not: it may have the answers. A picture is alone, a question last."""
        if self.first or not self.pieces:
            return not self.first
        room = ROOM if len(self.title) > HEADING else ROOM + LINE["heading"]
        last = self.pieces[-1].kind
        prose = last in PROSE if piece.kind in PROSE else last == "text" and piece.kind != "figure"
        fits = last in PROSE if piece.kind == "question" else prose
        return fits and self.height + piece.height <= room


class Deck:
    """The slides so far, and the current headings."""

    def __init__(self) -> None:
        self.slides: list[Slide] = []
        self.chapter = self.title = ""

    def heading(self, text: str) -> None:
        signs, _, self.title = text.partition(" ")
        self.chapter = self.title if len(signs) <= 2 else self.chapter
        self.slides.append(Slide(self.title, first=signs == "#"))

    def put(self, piece: Piece) -> None:
        if not self.slides[-1].takes(piece):
            self.slides.append(Slide(self.title))
        self.slides[-1].pieces.append(piece)

    def prose(self, text: str) -> None:
        for kind, block in blocks(text):
            if kind == "heading":
                self.heading(block)
                continue
            if picture := PICTURE.fullmatch(block):
                self.put(embedded(*picture.groups()))
                continue
            pieces = shown(kind, block, whole=self.chapter in IN_FULL)
            if not (pieces or self.slides[-1].pieces or self.slides[-1].notes):
                pieces = [text_piece(first_sentence(block))]  # a heading alone says too little
            for piece in pieces:
                self.put(piece)
            self.slides[-1].notes.append(render(block))

    def cell(self, cell: Any) -> None:
        if cell.source.startswith("%%"):  # an exercise: what there is to fill in
            pieces = code(cell.source.partition("\n")[2], comments=True)
        elif ASKED.search(cell.source):
            pieces = [replace(text_piece(BLANK), kind="question")]
        else:
            cell.outputs = [output for output in cell.outputs if not FOR_THE_LEARNER.search(text_of(output))]
            pieces = [*code(altered(cell.source)), *outputs(cell)]
        for piece in pieces:
            self.put(piece)


def embedded(words: str, path: str) -> Piece:
    """An SVG that a notebook shows; `path` is relative to the notebooks."""
    content = base64.b64encode((ROOT / "notebooks" / path).read_bytes()).decode()
    return Piece("figure", f'<img alt="{words}" src="data:image/svg+xml;base64,{content}">', ROOM)


def altered(source: str) -> str:
    """The statements of a cell that change a configuration."""
    statements = [ast.get_source_segment(source, node) or "" for node in ast.parse(source).body]
    return "\n".join(text for text in statements if ".altered(" in text)


def deck(cells: Iterable[Any]) -> list[Slide]:
    """The slides for a notebook's cells.

    Raises:
        IndexError: the notebook does not begin with a heading.
    """
    made = Deck()
    for cell in (cell for cell in cells if cell.id not in NOT_SHOWN):
        if cell.cell_type == "markdown":
            made.prose(TYPE_IT.sub("", cell.source))
        else:
            made.cell(cell)
    return [slide for slide in made.slides if slide.first or slide.pieces]


def whole_page(title: str, content: str, style: str = "") -> str:
    """A deck as one page; reveal.js, deck.css and the file `style` lie beside it."""
    more = f'<link rel="stylesheet" href="{style}">' if style else ""
    template = Template((HERE / "deck.html").read_text())
    return template.substitute(title=plain(render(title)).strip(), slides=content, style=more)


def section(slide: Slide) -> str:
    tag = "h1" if slide.first else "h2"
    title = render(slide.title).strip().removeprefix("<p>").removesuffix("</p>")
    head = "" if slide.look == "figure" else f"<{tag}>{title}</{tag}>"
    body = "\n".join(piece.html for piece in slide.pieces)
    notes = f'<aside class="notes">{"".join(slide.notes)}</aside>' if slide.notes else ""
    return f'<section class="{slide.look}" aria-label="{plain(title)}">{head}\n{body}\n{notes}</section>'


def write(name: str, notebook: Path, into: Path = SLIDES) -> Path:
    """The deck ``<name>.html`` of the executed `notebook`, with what it needs beside it."""
    add_reveal(into)
    slides = deck(nbformat.read(notebook, as_version=4).cells)
    target = into / f"{name}.html"
    target.write_text(whole_page(slides[0].title, "\n".join(map(section, slides))), encoding="utf-8")
    return target


def add_reveal(into: Path) -> None:
    """Put reveal.js and the style of all decks into `into`."""
    spec = find_spec("sphinx_revealjs")
    assert spec is not None
    assert spec.origin is not None
    (into / "reveal").mkdir(parents=True, exist_ok=True)
    for path in REVEAL:
        shutil.copy(Path(spec.origin).parent / "_static" / "revealjs" / path, into / "reveal")
    shutil.copy(HERE / "deck.css", into)
