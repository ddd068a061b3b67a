"""The book: whole, without a broken link, without anything from elsewhere; and the notebooks that are run for it."""

import re
from html.parser import HTMLParser

import psutil
import pytest

from offload_lab.paths import ROOT
from offload_lab.testing import chromium, require_chromium
from offload_lab.timeouts import scaled

from .test_slides import PRINTED

pytestmark = pytest.mark.usefixtures("book_tools")

LOADED = {"script": "src", "img": "src", "link": "href", "iframe": "src", "source": "src"}


# --- the book


class Page(HTMLParser):
    """What a page loads, where it leads, and the places in it that others can lead to."""

    def __init__(self, path):
        super().__init__()
        self.loads, self.leads, self.places = [], [], set()
        self.feed(path.read_text())

    def handle_starttag(self, tag, attrs):
        attributes = dict(attrs)
        self.loads += [attributes[LOADED[tag]]] if attributes.get(LOADED.get(tag)) else []
        self.loads += [attributes["data-src"]] if attributes.get("data-src") else []  # loaded with its slide
        self.leads += [attributes["href"]] if tag == "a" and attributes.get("href") else []
        self.places.add(attributes.get("id"))


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """All documents, and the notebooks without results, as a site: its folder."""
    from offload_lab.course.book import build

    notebooks = {path.name: path for path in (ROOT / "notebooks").glob("*.ipynb")}
    return build(notebooks, tmp_path_factory.mktemp("book") / "site").parent


@pytest.fixture(scope="module")
def book(site):
    """The site's pages by their paths."""
    return {path: Page(path) for path in site.rglob("*.html") if "_static" not in path.parts}


@pytest.mark.full
def test_every_document_and_every_notebook_is_a_page(site, book):
    documents = [*ROOT.glob("*.md"), *ROOT.glob("steps/*/*.md"), *ROOT.glob("notebooks/*.ipynb")]
    pages = [site / path.relative_to(ROOT).with_suffix(".html") for path in documents]
    assert [page for page in pages if page not in book] == []


@pytest.mark.full
def test_no_page_loads_anything_from_elsewhere(site, book):
    elsewhere = {load for page in book.values() for load in page.loads if re.match(r"(\w+:)?//", load)}
    assert elsewhere == set()
    assert [
        path for path in site.rglob("*.css") if re.search(r"(url\(|@import)\s*[\"']?(\w+:)?//", path.read_text())
    ] == []


@pytest.mark.full
def test_every_link_of_every_page_has_a_target(book):
    broken = []
    for path, page in book.items():
        for link in [*page.leads, *page.loads]:
            if re.match(r"\w+:", link):
                continue
            file, _, place = link.partition("#")
            target = (path.parent / file.partition("?")[0]).resolve() if file else path
            if not target.is_file() or (place and target in book and place not in book[target].places):
                broken.append(f"{path.name}: {link}")
    assert broken == []


@pytest.mark.full
def test_no_handout_and_no_deck_of_the_talk_has_a_dead_link(tmp_path):
    from offload_lab.course import slides, talk

    decks = [slides.write(path.stem, path, tmp_path) for path in sorted((ROOT / "notebooks").glob("*.ipynb"))]
    decks += talk.write_all(tmp_path)
    dead = []
    for deck in decks:
        page = Page(deck)
        for link in [*page.leads, *page.loads]:
            file, _, place = link.partition("#")
            if not re.match(r"\w+:", link) and not ((tmp_path / file).exists() if file else place in page.places):
                dead.append(f"{deck.name}: {link}")
    assert len(decks) > 10
    assert dead == []


@pytest.mark.full
def test_no_page_has_a_path_of_the_builder(site):
    from pathlib import Path

    pages = [path for path in site.rglob("*") if path.suffix in (".html", ".js", ".txt")]
    builders = [str(ROOT), f"{Path.home()}/"]
    assert [path.name for path in pages if any(name in path.read_text() for name in builders)] == []


@pytest.mark.full
def test_the_contents_name_each_page_differently(site):
    sidebar = (site / "index.html").read_text().partition('<div class="sidebar-tree">')[2].partition("</aside>")[0]
    titles = re.findall(r'<a class="reference internal" href="[^"]+">([^<]+)</a>', sidebar)
    assert len(titles) > 25
    assert [title for title in titles if titles.count(title) > 1] == []
    numbered = [title for title in titles if re.match(r"\d\d\w? · ", title)]
    assert len(numbered) == len(list(ROOT.glob("notebooks/*.ipynb")))


@pytest.mark.full
def test_a_page_from_the_disk_stops_at_each_question_and_the_search_quotes(site):
    require_chromium()
    from playwright.sync_api import expect

    notebook = site / "notebooks" / "02_xsendfile.html"
    with chromium() as browser:
        page = browser.new_page()
        page.set_default_timeout(scaled(30) * 1000)
        page.goto(notebook.as_uri())
        question, later = page.locator(".lab-guess").first, page.locator("#see h2")
        expect(later).to_be_hidden()
        question.locator("input").fill("40")
        question.locator("button").click()
        expect(question).to_have_text("You guessed: 40")
        expect(later).to_be_visible()
        page.goto(f"{(site / 'search.html').as_uri()}?q=disableheaders")
        expect(page.locator("#search-results p.context").first).to_contain_text(
            "disableheaders", timeout=scaled(30) * 1000
        )


@pytest.mark.full
def test_code_is_dark_where_the_page_is_dark():

    from offload_lab.notebook.display import framed

    style = (ROOT / "docs" / "book" / "static" / "book.css").read_text()
    pane = framed("header.ini", "pull-header = X-Offload-to-SSE X_OFFLOAD")
    bodies = {"dark": 'data-theme="dark"', "the system's": "", "JupyterLab": 'data-jp-theme-light="false"'}
    turned = {}
    with chromium() as browser:
        page = browser.new_page(color_scheme="dark")
        for name, attributes in {**bodies, "light": 'data-theme="light"'}.items():
            page.set_content(f"<style>{style if name != 'JupyterLab' else ''}</style><body {attributes}>{pane}</body>")
            turned[name] = page.evaluate("getComputedStyle(document.querySelector('.lab-frame')).filter")
    assert turned.pop("light") == "none"
    assert all(value.startswith("invert(0.88)") for value in turned.values()), turned


def test_a_page_of_the_book_has_no_message_for_one_learner():
    import nbformat

    from offload_lab.course.book_pages import readable

    new = nbformat.v4
    messages = [
        "You named no cause; it is number 3. Write one above",
        f"saved in {ROOT}/results",
        PRINTED,
    ]
    cells = [
        new.new_markdown_cell("**How many?** Write a number in place of `None`. (Folded code, **•••**: run it.)"),
        new.new_code_cell("guess_number = None"),
        new.new_code_cell("see()", outputs=[new.new_output("display_data", {"text/plain": text}) for text in messages]),
        new.new_code_cell("%%your_turn 03 offload\n; TODO", outputs=[new.new_output("stream", text="not yet: 404")]),
    ]
    text = nbformat.writes(readable(new.new_notebook(cells=cells)))
    shown = nbformat.reads(text, as_version=4).cells
    assert [cell.cell_type for cell in shown] == ["markdown", "markdown", "code", "code"]
    assert "lab-guess" in shown[1].source
    assert shown[2].outputs[0].data["text/plain"] == "saved in results"
    assert "<td>an offload thread</td>" in shown[2].outputs[1].data["text/html"]
    assert not re.search(r"None|Folded|number 3|not yet", text)


@pytest.mark.full
def test_a_broken_link_stops_the_build(tmp_path, monkeypatch):
    from offload_lab.course import book

    broken = tmp_path / "99_broken.ipynb"
    write(broken, ["# Broken\n\n[to nowhere](no_such_page.md)"])
    monkeypatch.setattr(book, "copy_documents", copy_only(broken))
    with pytest.raises(book.BookError, match=r"notebooks/99_broken.*no_such_page"):
        book.build({broken.name: broken}, tmp_path / "site")


def copy_only(notebook):
    """A tree with a first page and `notebook`: seconds less than with everything."""

    def copy(tree, notebooks):
        (tree / "notebooks").mkdir(parents=True)
        (tree / "index.md").write_text("# Book\n\n```{toctree}\n:glob:\n\nnotebooks/*\n```\n")
        (tree / "notebooks" / notebook.name).write_text(notebook.read_text())

    return copy


# --- executed copies


def write(path, sources):
    """A notebook: Markdown where a source begins with #, else code."""
    import nbformat
    from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

    kinds = [new_markdown_cell if source.startswith("#") else new_code_cell for source in sources]
    cells = [kind(source, id=f"cell-{at}") for at, (kind, source) in enumerate(zip(kinds, sources, strict=True))]
    nbformat.write(new_notebook(cells=cells), path)


@pytest.mark.full
def test_a_notebook_runs_once_until_it_changes(tmp_path):
    from offload_lab.course.run_notebooks import executed

    notebook = tmp_path / "99_short.ipynb"
    write(notebook, ["# Short", "from offload_lab import notebook as lab\nwith lab.progress('long'): print(6 * 7)"])
    shares = []
    first = executed(notebook, tmp_path / "kept", shares.append)
    assert '"42\\n"' in first.read_text()
    assert "█" not in first.read_text(), "progress is of no interest afterwards"
    assert shares == sorted(shares)
    assert shares
    assert executed(notebook, tmp_path / "kept", pytest.fail) == first
    write(notebook, ["# Short", "print(6 * 8)"])
    second = executed(notebook, tmp_path / "kept")
    assert list((tmp_path / "kept").iterdir()) == [second]
    assert '"48\\n"' in second.read_text()
    assert not [
        process for process in psutil.Process().children(recursive=True) if "ipykernel" in " ".join(process.cmdline())
    ]


@pytest.mark.full
def test_a_cell_that_fails_stops_it_and_is_named(tmp_path):
    from offload_lab.course.run_notebooks import NotebookFailedError, executed

    notebook = tmp_path / "99_broken.ipynb"
    write(notebook, ["# Broken", "tickets = {}\ntickets['lost']"])
    with pytest.raises(NotebookFailedError) as caught:
        executed(notebook, tmp_path / "kept")
    assert re.search(r"99_broken.ipynb, cell cell-1: .*KeyError: 'lost'", str(caught.value), re.DOTALL)
    assert "./lab notebook 99" in str(caught.value)
    assert "\x1b" not in str(caught.value)
    assert not (tmp_path / "kept").exists()
