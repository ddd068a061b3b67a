"""The output of a cell: progress bars, pictures, tables and code, each also as text for screen readers."""

import html
import io
import os
from collections.abc import Callable, Iterator
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

from offload_lab.paths import results

from . import answers

DPI = 200
BAR_CELLS = 40
# both on white, with signs as well as colours: the same in a light and in a dark JupyterLab, and on paper
FRAME = "background:#ffffff;color:#222222;border:1px solid #bbbbbb;padding:8px 12px;margin:0;overflow-x:auto;"
MONO = "font-family:'DejaVu Sans Mono',Menlo,Consolas,monospace;font-size:13px;line-height:1.45;white-space:pre;"
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


def screenshot(name: str, made_by: str) -> None:
    """Show the picture that a browser test saved in results/screenshots, or how to get it."""
    path = results() / "screenshots" / name
    if not path.exists():
        print(f"no picture yet: {made_by} saves one (with Chromium: apt-get install chromium)")
        return
    show_bundle({"image/png": path.read_bytes(), "text/plain": name}, {"image/png": {"width": 760, "alt": name}})


def show_table(rows: Table) -> None:
    """Show the table as a terminal does, on white."""
    if answers.hides("the table"):
        return
    console = Console(file=io.StringIO(), record=True, width=124, force_jupyter=False)
    rows.box = box.SIMPLE_HEAD  # a browser leaves gaps between the pieces of upright lines
    console.print(rows)
    plain = console.export_text(clear=False).rstrip()
    page = console.export_html(inline_styles=True, code_format="{code}").rstrip()
    show_bundle({"text/html": f'<pre style="{FRAME}{MONO}line-height:1.2;">{page}</pre>', "text/plain": plain})


def show_bundle(data: dict[str, Any], metadata: dict[str, Any] | None = None, **how: Any) -> Any:
    show_it: Any = display
    return show_it(data, metadata=metadata, raw=True, **how)


def show_source(caption: str, file: str, code: str) -> None:
    """Show code, highlighted by the file's ending."""
    coloured = highlight(code, get_lexer_for_filename(file), HtmlFormatter(noclasses=True, nowrap=True))
    show_bundle({"text/html": framed(caption, coloured), "text/plain": f"{caption}\n{code}"})


def framed(caption: str, body: str) -> str:
    head = f'<div style="{FRAME}border-bottom:0;font-weight:bold;font-size:13px;">{html.escape(caption)}</div>'
    return f'{head}<pre style="{FRAME}{MONO}">{body}</pre>'
