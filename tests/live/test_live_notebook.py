"""The live view below a notebook's cell."""

import importlib.util
import os
import re
import signal
import urllib.request

import psutil
import pytest

from offload_lab.paths import ROOT
from offload_lab.process.polling import wait_for
from offload_lab.testing import jupyter_kernel, require
from offload_lab.timeouts import scaled

from .live_page import WITHIN_S

SHOW = 'from offload_lab import notebook as lab\nlab.live("01_file_wrapper", "offload")'
REPLAY = 'from offload_lab import notebook as lab\nlab.replay("03")'
DRAW = (
    "from offload_lab import notebook as lab\n"
    'lab.picture(*lab.live_recording(lab.ROOT / "docs" / "recordings" / "live-01.json"))'
)
SOURCE = re.compile(r'<iframe src="([^"]+)"')

pytestmark = pytest.mark.full


@pytest.fixture
def kernel(monkeypatch, tmp_path):
    require(importlib.util.find_spec("ipykernel") is not None, "ipykernel", "./lab install notebook")
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    with jupyter_kernel(ROOT / "notebooks") as kernel:
        yield kernel


def shown(client, code):
    """What a cell with this in it displays, by type."""
    found = {}

    def keep(message):
        found.update(message["content"].get("data", {}))
        assert message["msg_type"] != "error", message["content"]

    client.execute_interactive(code, timeout=scaled(WITHIN_S), output_hook=keep)
    return found


def test_it_is_shown_below_the_cell_and_ends_with_the_kernel(kernel):
    manager, client = kernel
    address = SOURCE.search(shown(client, SHOW)["text/html"])[1]
    assert b"<title>" in urllib.request.urlopen(address, timeout=scaled(WITHIN_S)).read()  # noqa: S310 (our own)
    process = psutil.Process(manager.provisioner.pid)
    wait_for(lambda: len(process.children(recursive=True)) >= 5, WITHIN_S, "the view and its stage")
    started = process.children(recursive=True)
    os.kill(process.pid, signal.SIGKILL)
    wait_for(lambda: not any(process.is_running() for process in started), WITHIN_S, "the end of every process")


def test_a_second_one_ends_the_first(kernel):
    _, client = kernel
    first = SOURCE.search(shown(client, SHOW)["text/html"])[1]
    second = SOURCE.search(shown(client, "lab.live('01', 'naive')")["text/html"])[1]
    assert first != second
    with pytest.raises(OSError, match="refused"):
        urllib.request.urlopen(first, timeout=scaled(WITHIN_S))  # noqa: S310 (our own)


def test_a_recording_is_played_and_drawn_without_a_server(kernel):
    _, client = kernel
    assert shown(client, REPLAY)["text/html"].startswith("<iframe srcdoc=")
    assert "0 of" in shown(client, DRAW)["text/plain"]


def test_in_the_book_there_is_the_recording(kernel):
    _, client = kernel
    html = shown(client, f'import os; os.environ["LAB_LIVE"] = "replay"\n{SHOW}')["text/html"]
    assert html.startswith("<iframe srcdoc=")


def test_on_a_slide_the_recording_is_a_figure():
    require(importlib.util.find_spec("markdown_it") is not None, "the book's packages", "./lab install book")
    from offload_lab.course.slide_blocks import result

    [piece] = result({"text/html": '<iframe srcdoc="page"></iframe>', "text/plain": "recording"})
    assert (piece.kind, piece.html) == ("figure", '<iframe srcdoc="page"></iframe>')
