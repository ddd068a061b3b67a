"""The output of a cell: progress bars, pictures, tables and code, each also as text for screen readers."""

import html
import io
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from IPython.display import display
from matplotlib.figure import Figure
from pygments import highlight  # type: ignore[import-untyped]
from pygments.formatters import HtmlFormatter  # type: ignore[import-untyped]
from pygments.lexers import get_lexer_for_filename  # type: ignore[import-untyped]
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from . import answers

DPI = 200
BAR_CELLS = 40
# with signs as well as colours; where the page around it is dark, it is turned round: dark, and blue stays blue
DARK = 'body[data-jp-theme-light="false"] .lab-frame{filter:invert(0.88) hue-rotate(180deg)}'
FRAME = "background:#ffffff;color:#222222;border:1px solid #bbbbbb;padding:8px 12px;margin:0;overflow-x:auto;"
MONO = "font-family:'DejaVu Sans Mono',Menlo,Consolas,monospace;font-size:13px;line-height:1.45;"
WRAPPED = "white-space:pre-wrap;word-break:normal;overflow-wrap:anywhere;"  # nothing is wider than its cell
FURTHER_IN = 2  # characters that the rest of a wrapped line is indented further than its beginning
DIFF_STYLES = {"+": "background:#cfe8fc;color:#002f4d;", "-": "background:#fbe0cc;color:#5c2300;", " ": ""}


@contextmanager
def progress(title: str) -> Iterator[Callable[[float], None]]:
    """A bar of text under the cell. Yields a function that takes the share done, 0 to 1."""

    def line(share: float) -> dict[str, str]:
        done = round(share * BAR_CELLS)
        return {"text/plain": f"{title:<28} {'█' * done}{'░' * (BAR_CELLS - done)} {share:4.0%}"}

    bar = show_bundle(line(0), display_id=True)
    yield lambda share: bar.update(line(share), raw=True)
    bar.update(line(1), raw=True)


def show(figure: Figure, text: str) -> None:
    """Show `figure` under the cell, with `text` for screen readers.

    ``LAB_FIGURE_SCALE`` makes it smaller but not its type: so the book and the slides get larger type.
    """
    if answers.hides("the picture"):
        return
    image = io.BytesIO()
    scale = float(os.environ.get("LAB_FIGURE_SCALE", "1"))
    figure.set_size_inches(figure.get_figwidth() * scale, figure.get_figheight() * scale)
    figure.savefig(image, format="png", dpi=DPI)
    width = round(figure.get_figwidth() * 96)
    show_bundle({"image/png": image.getvalue(), "text/plain": text}, {"image/png": {"width": width, "alt": text}})


def show_table(rows: Table) -> None:
    """Show the table as HTML, whose cells wrap where the notebook's are narrow; as text it is the terminal's."""
    if answers.hides("the table"):
        return
    console = Console(file=io.StringIO(), record=True, width=124, force_jupyter=False)
    rows.box = box.SIMPLE_HEAD
    console.print(rows)
    show_bundle({"text/html": html_table(rows), "text/plain": console.export_text().rstrip()})


def html_table(rows: Table) -> str:
    """In the colours of the page around it, dark or light."""
    sides = ["right" if column.justify == "right" else "left" for column in rows.columns]
    aligned = [f"text-align:{side};overflow-wrap:anywhere" for side in sides]

    def line(tag: str, cells: Iterable[object], style: object = "") -> str:
        weight = ";font-weight:bold" * bool(style)
        inside = [
            f'<{tag} style="{css}{weight}">{cell_text(cell)}</{tag}>' for css, cell in zip(aligned, cells, strict=True)
        ]
        return f"<tr>{''.join(inside)}</tr>"

    heads = line("th", [column.header for column in rows.columns])
    cells = zip(*(column.cells for column in rows.columns), strict=True)
    body = "".join(line("td", one, row.style) for row, one in zip(rows.rows, cells, strict=True))
    notes = [f"<p>{cell_text(note)}</p>" if note else "" for note in (rows.title, rows.caption)]
    return f'{notes[0]}<table class="docutils"><thead>{heads}</thead><tbody>{body}</tbody></table>{notes[1]}'


def cell_text(cell: object) -> str:
    plain = Text.from_markup(cell).plain if isinstance(cell, str) else str(cell)
    return html.escape(plain).replace("\n", " ")


def show_bundle(data: dict[str, Any], metadata: dict[str, Any] | None = None, **options: Any) -> Any:
    show_it: Any = display
    return show_it(data, metadata=metadata, raw=True, **options)


def show_source(caption: str, file: str, code: str) -> None:
    """Show code, highlighted by the file's ending."""
    coloured = highlight(code, get_lexer_for_filename(file, stripnl=False), HtmlFormatter(noclasses=True, nowrap=True))
    lines = zip(code.splitlines(), coloured.splitlines(), strict=True)
    rows = "".join(f'<div style="{continued(plain)}">{line or "<br>"}</div>' for plain, line in lines)
    show_bundle({"text/html": framed(caption, rows), "text/plain": f"{caption}\n{code}"})


def continued(line: str, sign: int = 0) -> str:
    """The style of a line of code that begins after `sign` characters: where it wraps, its rest is indented further."""
    indent = sign + len(line[sign:]) - len(line[sign:].lstrip()) + FURTHER_IN
    return f"padding-left:{indent}ch;text-indent:-{indent}ch;"


def framed(caption: str, body: str) -> str:
    head = f'<div style="{FRAME}border-bottom:0;font-weight:bold;font-size:13px;">{html.escape(caption)}</div>'
    panes = f'{head}<pre style="{FRAME}{MONO}{WRAPPED}">{body}</pre>'
    return f'<style>{DARK}</style><div class="lab-frame">{panes}</div>'
