"""Sphinx settings of the book. `./lab book` lays all documents and the executed notebooks into one folder, as they lie
in the repository, and builds from there: so their links work here as they do there."""

import json
import re
from pathlib import Path

project = "Offload Lab"
html_title = project
html_theme = "furo"
html_static_path = [str(Path(__file__).with_name("static"))]
html_css_files = ["book.css"]
html_js_files = ["book.js"]
html_favicon = str(Path(__file__).with_name("static") / "favicon.svg")
html_show_copyright = False
html_copy_source = False
html_use_index = False
html_theme_options = {
    "light_css_variables": {"color-brand-primary": "#005b8f", "color-brand-content": "#005b8f"},
    "dark_css_variables": {"color-brand-primary": "#7cc4f0", "color-brand-content": "#7cc4f0"},
}

extensions = ["myst_nb"]
exclude_patterns = ["docs/book", "docs/talk"]
highlight_language = "text"
myst_heading_anchors = 4
nb_execution_mode = "off"  # ./lab book has executed them, one after the other
nb_render_markdown_format = "myst"
nb_mime_priority_overrides = [("html", "text/markdown", 5)]

LINK = re.compile(r"\[([^\[\]]+)\]\(([^)\s#:]+)\)")


def prepare(app, name, source):
    """A link to a folder leads to its README or is words; a README with other pages beside it is their parent."""
    folder = Path(app.srcdir, name).parent

    def lead(link):
        words, target = link.groups()
        if not (folder / target).is_dir():
            return link[0]
        readme = Path(target, "README.md")
        return f"[{words}]({readme})" if (folder / readme).is_file() else words

    source[0] = LINK.sub(lead, source[0])
    if name.endswith("/README") and len(list(folder.glob("*.md"))) > 1:
        source[0] += "\n\n```{toctree}\n:hidden:\n:glob:\n\n*\n```\n"


def write_texts(app, error):
    """What the search page shows of each page: it cannot read the pages where the book is opened from a disk."""
    if error is None and app.builder.format == "html":
        texts = {name: app.env.get_doctree(name).astext() for name in app.env.found_docs}
        Path(app.outdir, "_static", "texts.js").write_text(f"window.bookTexts = {json.dumps(texts)}", encoding="utf-8")


def setup(app):
    app.connect("source-read", prepare)
    app.connect("build-finished", write_texts)
    return {"parallel_read_safe": True}
