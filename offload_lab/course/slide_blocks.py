"""What goes onto a slide, made from what a notebook holds: prose, code, tables, what was printed, pictures. No I/O.

A piece is HTML and how much of its slide it fills; what is higher than a slide becomes several pieces.
"""

import html
import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, TypeVar

from markdown_it import MarkdownIt

SHORT = 170  # characters; what is longer is for the speaker
SENTENCE = re.compile(r".+?[.?!](?=\s|$)", re.DOTALL)
BOLD = re.compile(r"\*\*(.{20,}?)\*\*", re.DOTALL)
LINK_INSIDE = re.compile(r"\[([^\]]+)\]\((?!http)[^)]*\)")
RULE = re.compile(r"^ *─{10,}", re.MULTILINE)
NAME = 20  # characters that a first column keeps on one line
FEW_COLUMNS = 7
GAP = 3  # blanks between two columns of a printed table
COMMENT = re.compile(r'^[+\- ]?\s*([;#]|""".*"""$)')  # and docstrings of one line
NUMBER = re.compile(r"[+\d,.]+( x)?")

# how much fits onto a slide, in its pixels: see the sizes of type in deck.css
AT_MOST = 2  # slides for one piece of code
ROOM = 518  # below a heading of two lines, each of HEADING characters
HEADING = 42
LINE = {"heading": 53, "text": 43, "code": 34, "small": 24, "table": 34}
AROUND = {"text": 14, "code": 44, "table": 15}  # a paragraph, a block, a row
CHARACTERS = {"text": 66, "code": 76, "small": 108, "table": 74}  # in a line

T = TypeVar("T")

markdown = MarkdownIt("commonmark").enable("table")


@dataclass(frozen=True)
class Piece:
    """`kind` is "text", "item", "code", "table" or "figure"; `height` is in a slide's pixels, an upper estimate."""

    kind: str
    html: str
    height: int


def render(text: str) -> str:
    """HTML of Markdown; links between notebooks become text, since they lead nowhere from a slide."""
    return str(markdown.render(LINK_INSIDE.sub(r"\1", text)))


def height(text: str, kind: str) -> int:
    """How high the lines of `text` are on a slide."""
    return LINE[kind] * sum(max(1, math.ceil(len(line) / CHARACTERS[kind])) for line in text.splitlines())


def fill(items: Sequence[T], heights: Sequence[int], room: int) -> list[list[T]]:
    """`items` in groups, none of which is higher than `room`, if no single item is."""
    groups: list[list[T]] = []
    left = -1
    for item, high in zip(items, heights, strict=True):
        if high > left:
            groups.append([])
            left = room
        groups[-1].append(item)
        left -= high
    return groups


def spread(items: Sequence[T], heights: Sequence[int], room: int) -> list[list[T]]:
    """The same with groups of about one height, so that the last is no left-over."""
    groups = fill(items, heights, room)
    if not groups:
        return []
    return fill(items, heights, min(room, sum(heights) // len(groups) + max(heights)))


# --- prose


def blocks(text: str) -> Iterator[tuple[str, str]]:
    """The paragraphs, headings, list items, tables and code of Markdown: what each is, and its text."""
    lines = text.splitlines()
    for token in markdown.parse(text):
        wanted = token.type == "list_item_open" or not (token.level or token.type.endswith("list_open"))
        if token.map and token.level <= 1 and wanted:
            yield token.type.removesuffix("_open"), "\n".join(lines[token.map[0] : token.map[1]]).strip()


def shown(kind: str, text: str, whole: bool) -> list[Piece]:
    """What a slide shows of a block: all of it if that is short, or if `whole`; else what is bold, or nothing.

    A long list item is cut after its first sentence.
    """
    if kind == "table":
        return markdown_table(text)
    if kind == "fence":
        return code("\n".join(text.splitlines()[1:-1]))
    if kind == "list_item" and len(text) > SHORT and not whole:
        text = first_sentence(text)
    elif kind == "paragraph" and len(text) > SHORT and not whole:
        text = "\n\n".join(f"**{match}**" for match in BOLD.findall(text))
    return [text_piece(text, "item" if kind == "list_item" else "text")] if text else []


def text_piece(text: str, kind: str = "text") -> Piece:
    return Piece(kind, render(text), height(text, "text") + AROUND["text"])


def first_sentence(text: str) -> str:
    found = SENTENCE.match(text)
    return found[0] if found else text


# --- tables


def markdown_table(text: str) -> list[Piece]:
    head, _, *rows = ([cell.strip() for cell in line.strip().strip("|").split("|")] for line in text.splitlines())
    return table([markdown.renderInline(LINK_INSIDE.sub(r"\1", cell)) for cell in head], [
        [markdown.renderInline(LINK_INSIDE.sub(r"\1", cell)) for cell in row] for row in rows
    ])  # fmt: skip


def printed_table(text: str) -> list[Piece]:
    heads, rows = parse_table(text)
    return table([html.escape(cell) for cell in heads], [[html.escape(cell) for cell in row] for row in rows])


def parse_table(text: str) -> tuple[list[str], list[list[str]]]:
    """Headings and rows of a table as `notebook.show_table` prints it.

    A rule is below its headings, blanks are between columns, long cells wrap.
    """
    above, below = RULE.split(text, maxsplit=1)
    head_lines = [line for line in re.split(r"\n\s*\n", above.strip("\n"))[-1].splitlines() if line.strip()]
    body_lines = [line for line in below.splitlines()[1:] if line.strip()]
    spans = columns([*head_lines, *body_lines])
    rows: list[list[str]] = []
    for line in body_lines:
        cells = [line[start:end].strip() for start, end in spans]
        if cells[0] or not rows:
            rows.append(cells)
        else:  # the rest of a cell that was too long
            rows[-1] = [f"{one} {more}".strip() for one, more in zip(rows[-1], cells, strict=True)]
    return [" ".join(line[start:end].strip() for line in head_lines).strip() for start, end in spans], rows


def columns(lines: list[str]) -> list[tuple[int, int]]:
    """Where the columns of a printed table begin and end: between them all lines are blank."""
    width = max(map(len, lines))
    blank = "".join(" " if all(line[at : at + 1] in ("", " ") for line in lines) else "x" for at in range(width))
    inside = [match.span() for match in re.finditer(rf"x(?:x| {{1,{GAP - 1}}}(?=x))*", blank)]
    starts = [start for start, _ in inside]
    return [(start, end) for start, end in pairwise([*starts, width])]


def table(heads: list[str], rows: list[list[str]]) -> list[Piece]:
    widths = [max(len(plain(cell)) for cell in column) for column in zip(heads, *rows, strict=True)]
    numbers = [all(NUMBER.fullmatch(cell) for cell in column) for column in zip(*rows, strict=True)]
    squeeze = max(1.0, sum(widths) / CHARACTERS["table"])

    def high(cells: list[str]) -> int:
        lines = max(math.ceil(len(plain(cell)) * squeeze / width) for cell, width in zip(cells, widths, strict=True))
        return LINE["table"] * max(1, lines) + AROUND["table"]

    def row(cells: list[str], tag: str) -> str:
        marks = (' class="number"' if number else "" for number in numbers)
        return f"<tr>{''.join(f'<{tag}{mark}>{cell}</{tag}>' for mark, cell in zip(marks, cells, strict=True))}</tr>"

    looks = [name for name, so in (("names", widths[0] <= NAME), ("many", len(heads) > FEW_COLUMNS)) if so]
    look = f' class="{" ".join(looks)}"' if looks else ""
    head = f"<table{look}><thead>{row(heads, 'th')}</thead><tbody>"
    groups = spread(rows, [high(one) for one in rows], ROOM - high(heads))
    return [
        Piece(
            "table",
            head + "".join(row(one, "td") for one in group) + "</tbody></table>",
            high(heads) + sum(map(high, group)),
        )
        for group in groups
    ]


def plain(markup: str) -> str:
    return re.sub(r"<[^>]+>", "", markup)


# --- code and what was printed


def code(text: str, caption: str = "", comments: bool = False) -> list[Piece]:
    """Lines of code, those of a diff in its colours; comments that have a line to themselves only if `comments`.

    In smaller type where that keeps them together. What would take more than AT_MOST slides is cut off, and says so.
    """
    lines = [line for line in text.rstrip().splitlines() if comments or not COMMENT.match(line)]
    changed = any(line.startswith(("+ ", "- ")) for line in lines) and "→" in caption
    lines = [line for line in lines if not changed or line.strip("+- ⋯")]
    head = f'<p class="caption">{html.escape(caption)}</p>' if caption else ""
    around = AROUND["code"] + (LINE["text"] if caption else 0)
    room = ROOM - around
    size = "code" if sum(code_heights(lines, "code")) <= room else "small"
    fitting = [line for group in fill(lines, code_heights(lines, size), room)[:AT_MOST] for line in group]
    if len(fitting) < len(lines):
        lines = [*fitting[:-2], f"⋯ and {len(lines) - len(fitting) + 2} lines more"]
    return [
        Piece("code", f'{head}<pre class="{size}">{"".join(code_line(line, changed) for line in group)}</pre>', high)
        for group in spread(lines, code_heights(lines, size), room)
        for high in [around + sum(code_heights(group, size))]
    ]


def code_heights(lines: Sequence[str], size: str) -> list[int]:
    return [height(line or " ", size) for line in lines]


def code_line(line: str, changed: bool) -> str:
    sign = {"+": "new", "-": "old"}.get(line[:1], "") if changed else ""
    return f'<div class="{sign}">{html.escape(line) or " "}</div>'


# --- what a cell gave


def outputs(cell: Any) -> Iterator[Piece]:
    """The pieces of what `cell` gave: its pictures, tables, code and printed lines."""
    printed = ""
    for output in [*cell.outputs, None]:
        if output is not None and output.output_type == "stream":
            printed += output.text
            continue
        if printed.strip():
            yield from code(printed.strip("\n"))
            printed = ""
        if output is not None and "data" in output:
            yield from result(output.data)


def result(data: Any) -> Iterator[Piece]:
    text = data.get("text/plain", "")
    caption, _, rest = text.partition("\n")
    if "image/png" in data:
        picture = data["image/png"].replace("\n", "")
        yield Piece("figure", f'<img alt="{html.escape(text)}" src="data:image/png;base64,{picture}">', ROOM)
    elif data.get("text/html", "").startswith("<iframe"):  # a live view's recording
        yield Piece("figure", data["text/html"], ROOM)
    elif "text/markdown" in data:
        for kind, block in blocks(data["text/markdown"]):
            yield from shown(kind, block, whole=False)
    elif RULE.search(text):
        yield from printed_table(text)
    elif caption.startswith("steps/"):
        yield from code(rest, caption)
    elif text.strip():
        yield from code(text.strip("\n"))
