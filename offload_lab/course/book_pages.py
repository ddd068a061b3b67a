"""A notebook's executed copy as a page to read: questions before answers, code behind a toggle, real tables. No I/O."""

import html
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import nbformat

from offload_lab.paths import ROOT

from .slide_blocks import RULE, parse_table

NOT_SHOWN = ("setup", "next-lessons")  # for those who run it
ASKED = re.compile(r"^(?:\w*guess\w*|cause) = (?:None|\{)", re.MULTILINE)
EXERCISE = "%%your_turn"
TYPE_IT = re.compile(r"\s*(?:Write (?:a number|one)[^.]*\bNone`?\.|\(Folded code[^)]*\))")
FOR_THE_LEARNER = re.compile(r"You (?:made no guess|named)|Number \d is the cause")
QUESTION = """<div class="lab-guess"><label>Your guess: <input size="12" autocomplete="off"></label>
<button type="button">Show what was measured</button></div>"""
CAUSE = QUESTION.replace("Your guess", "Its number").replace("what was measured", "the cause")


def readable(content: Any) -> Any:
    """The copy `content` without what only its learner needs."""
    content.cells = [changed for cell in content.cells if cell.id not in NOT_SHOWN for changed in [page_cell(cell)]]
    without_paths = nbformat.writes(content).replace(f"{ROOT}/", "").replace(str(ROOT), ROOT.name)
    return nbformat.reads(without_paths.replace(f"{Path.home()}/", "~/"), as_version=4)


def page_cell(cell: Any) -> Any:
    if cell.cell_type == "markdown":
        cell.source = TYPE_IT.sub("", cell.source)
        return cell
    if ASKED.search(cell.source):
        asks_cause = cell.source.startswith("cause")
        return nbformat.v4.new_markdown_cell(CAUSE if asks_cause else QUESTION, id=cell.id)
    if cell.source.startswith(EXERCISE):
        cell.outputs = []  # what a check says of blanks
        return cell
    cell.metadata["tags"] = ["hide-input"]
    cell.outputs = [with_table(output) for output in cell.outputs if not FOR_THE_LEARNER.search(text_of(output))]
    return cell


def text_of(output: Any) -> str:
    return str(output.get("text", "") or output.get("data", {}).get("text/plain", ""))


def with_table(output: Any) -> Any:
    """A printed table as one that a phone can show as cards."""
    data = output.get("data", {})
    if RULE.search(data.get("text/plain", "")) and "<table" not in data.get("text/html", ""):
        data["text/html"] = html_table(*parse_table(data["text/plain"]))
    return output


def html_table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    def row(cells: Sequence[str], tag: str) -> str:
        return f"<tr>{''.join(f'<{tag}>{html.escape(cell)}</{tag}>' for cell in cells)}</tr>"

    body = "".join(row(cells, "td") for cells in rows)
    return f'<table class="docutils"><thead>{row(heads, "th")}</thead><tbody>{body}</tbody></table>'
