"""The slides and the handout: what a cell becomes, and that nothing overflows."""

import re
import subprocess
import sys
from types import SimpleNamespace

import pytest

from offload_lab.paths import ROOT
from offload_lab.testing import chromium
from offload_lab.timeouts import scaled

pytestmark = pytest.mark.usefixtures("book_tools")


# --- slides


def cell(kind, source, *shown):
    from nbformat.v4 import new_output

    outputs = [new_output("display_data", {"text/plain": text}) for text in shown]
    return SimpleNamespace(cell_type=kind, id="any", source=source, outputs=outputs)


PRINTED = """
 A long-lived client

  variant      worker's   thread that
               peak MiB   waits on it
 ─────────────────────────────────────
  naive              70   the worker
                          itself
  offload             6   an offload
                          thread
"""


def test_a_printed_table_becomes_one_with_its_wrapped_cells_whole():
    from offload_lab.course.slide_blocks import printed_table

    [table] = printed_table(PRINTED)
    cells = re.findall(r"<t[hd](?: [^>]*)?>(.*?)</t[hd]>", table.html)
    assert cells[:3] == ["variant", "worker&#x27;s peak MiB", "thread that waits on it"]
    assert cells[3:] == ["naive", "70", "the worker itself", "offload", "6", "an offload thread"]
    assert table.html.count('class="number"') == 3


def test_long_cells_are_split_and_shortened_code_says_so():
    from offload_lab.course.slide_blocks import ROOM, code, table

    lines = [f"line {number}" for number in range(50)]
    rows = table(["number"], [[line] for line in lines])
    assert len(rows) > 2
    assert re.findall(r"line \d+", "".join(piece.html for piece in rows)) == lines
    pieces = code("\n".join(lines))
    text = "".join(piece.html for piece in pieces)
    shown = re.findall(r"line \d+", text)
    assert len(pieces) == 2
    assert shown == lines[: len(shown)]
    assert f"⋯ and {len(lines) - len(shown)} lines more" in text
    assert all(piece.height <= ROOM for piece in [*pieces, *rows])
    [whole] = code("\n".join(lines[:10]))
    assert "more" not in whole.html


def test_headings_begin_slides_and_long_prose_is_for_the_speaker():
    from offload_lab.course.slides import deck

    long = "A worker that sends a file serves no other client. " + "And so the queue grows. " * 10
    slides = deck(
        [cell("markdown", f"# The server\n\n## What\n\n{long}\n\n- a worker\n- an offload thread\n\n## Why\n\nShort.")]
    )
    assert [slide.title for slide in slides] == ["The server", "What", "Why"]
    shown = "".join(piece.html for piece in slides[1].pieces)
    assert "A worker that sends a file serves no other client." in shown
    assert "the queue grows" not in shown
    assert "the queue grows" in slides[1].notes[0]
    assert "an offload thread" in shown


def test_the_guess_stays_whole_and_a_diff_loses_its_comments():
    from offload_lab.course.slides import deck

    question = "Somebody comes with a bad line, and takes what he ordered, piece by piece. " * 3 + "**How long?**"
    diff = "steps/01: a.ini → b.ini\n  master = true\n+ ; the thread\n+ offload-threads = 1\n"
    cells = [
        cell("markdown", "# The server"),
        cell("markdown", f"## Guess\n\n{question}"),
        cell("code", "guess_ms = None"),
        cell("markdown", "## Read"),
        cell("code", "lab.show_diff()", diff),
    ]
    _, guess, read = deck(cells)
    shown = "".join(piece.html for piece in guess.pieces)
    assert "piece by piece" in shown
    assert "Your guess: ____" in shown
    assert "None" not in shown
    [lines] = read.pieces
    assert '<div class="new">+ offload-threads = 1</div>' in lines.html
    assert "the thread" not in lines.html
    assert "show_diff" not in lines.html


def test_a_handout_has_no_message_for_one_learner_and_no_answer_beside_its_question():
    from offload_lab.course.slides import deck

    asked = cell("code", "cause = None")
    answered = cell("code", "lesson.check_cause(cause, 1)", "You named no cause; it is number 3.", PRINTED)
    slides = deck([cell("markdown", "# The server\n\n## Which is it?\n\n1. this\n2. that"), asked, answered])
    assert [slide.pieces[-1].kind for slide in slides[1:]] == ["question", "table"]
    assert "number 3" not in "".join(piece.html for slide in slides for piece in slide.pieces)


def test_a_drawing_of_a_notebook_is_in_its_handout():
    from offload_lab.course.slides import deck

    _, drawn = deck([cell("markdown", "# The server\n\n## A picture\n\n![a server](../docs/figures/ticket-hall.svg)")])
    assert 'src="data:image/svg+xml;base64,' in drawn.pieces[-1].html


def test_a_function_is_kept_together_in_smaller_type():
    from offload_lab.course.slide_blocks import code

    [whole] = code("\n".join(["def stream(events):", *["    yield event"] * 18]))
    assert 'class="small"' in whole.html


TOO_HIGH_OR_SMALL = """() => {
  const slide = Reveal.getCurrentSlide(), faults = []
  if (slide.scrollHeight > slide.clientHeight + 1 || slide.scrollWidth > slide.clientWidth + 1) faults.push('overflows')
  for (const one of slide.querySelectorAll('*')) {
    const words = [...one.childNodes].some(node => node.nodeType == 3 && node.textContent.trim())
    const least = one.closest('pre.small') ? 18 : 24
    if (words && !one.closest('.notes') && parseFloat(getComputedStyle(one).fontSize) < least)
      faults.push(one.outerHTML)
  }
  return faults
}"""


@pytest.mark.full
def test_no_slide_overflows_shrinks_or_loads_from_elsewhere(tmp_path):

    from offload_lab.course.slides import write as write_deck

    longest = max((ROOT / "notebooks").glob("*.ipynb"), key=lambda path: path.stat().st_size)
    deck = write_deck("deck", with_outputs(longest, tmp_path), tmp_path)
    with chromium() as browser:
        page = browser.new_page(viewport={"width": 1280, "height": 720})
        asked, errors = [], []
        page.on("request", lambda request: asked.append(request.url))
        page.on("pageerror", lambda error: errors.append(error))
        page.goto(deck.as_uri())
        page.wait_for_function("Reveal.isReady()")
        slides = page.evaluate("Reveal.getTotalSlides()")
        assert slides > 20
        for number in range(slides):
            assert page.evaluate("Reveal.getIndices().h") == number
            assert page.evaluate(TOO_HIGH_OR_SMALL) == [], f"slide {number + 1} of {slides}"
            page.keyboard.press("ArrowRight")
    assert errors == []
    assert {url.partition(":")[0] for url in asked} <= {"file", "data", "blob"}


def with_outputs(notebook, folder):
    """The notebook as if it had run: the real tables and diffs need processes, these are as long and as wide."""
    import nbformat

    content = nbformat.read(notebook, as_version=4)
    width = "  ".join(f"{'column ' + str(number):<18}" for number in range(6))
    table = f"\n {width}\n {'─' * len(width)}\n" + f" {width}\n" * 30
    long = (
        "steps/01_file_wrapper: a.ini → b.ini\n" + "+ response-route-if-not = empty:${X_OFFLOAD} disableheaders:\n" * 30
    )
    for number, code_cell in enumerate(cell for cell in content.cells if cell.cell_type == "code"):
        code_cell.outputs = [nbformat.v4.new_output("display_data", {"text/plain": [table, long][number % 2]})]
    path = folder / notebook.name
    nbformat.write(content, path)
    return path


def test_a_missing_part_is_named_with_what_installs_it():
    code = "import sys; sys.modules['furo'] = None; from offload_lab.cli.main import main; main()"
    answer = subprocess.run(
        [sys.executable, "-c", code, "book"], cwd=ROOT, capture_output=True, text=True, timeout=scaled(60)
    )
    assert answer.returncode == 1
    assert "./lab install book" in " ".join(answer.stderr.split())
