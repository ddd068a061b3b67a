"""What a room without a network reads: talk, replays of the live view and book, each to open from a disk."""

import shutil
from pathlib import Path

from offload_lab.live.recording import LiveRecording
from offload_lab.paths import ROOT

from . import book, talk

PAGE = """# To read without a network

Open these in a browser, with a double click:

- `book/index.html`: the course and all documents
- `talk/talk-90.html`, `talk/talk-210.html`: the slides; S shows the speaker's notes
- `replays/live-NN.html`: the live view of step NN, as it was recorded
"""


def write_all(into: Path, finished_book: Path = book.BOOK) -> bool:
    """Write all of it into the new folder `into`. Returns whether the book has results: without a finished one, it is
    built with the notebooks as they are."""
    into.mkdir()
    (into / "README.md").write_text(PAGE)
    talk.write_all(into / "talk")
    replays = into / "replays"
    replays.mkdir()
    for path in sorted((ROOT / "docs" / "recordings").glob("live-*.json")):
        (replays / f"{path.stem}.html").write_text(LiveRecording.load(path).page())
    has_results = (finished_book / "index.html").exists()
    if has_results:
        shutil.copytree(finished_book, into / "book")
    else:
        book.build({path.name: path for path in (ROOT / "notebooks").glob("*.ipynb")}, into / "book")
    return has_results
