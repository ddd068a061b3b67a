"""The live view below a cell: the real one while a kernel runs, its recording in the book and on slides."""

import atexit
import html
import os
import re
import shutil
import sys
from pathlib import Path

from offload_lab.errors import LabError
from offload_lab.live.recording import LiveRecording
from offload_lab.measure.model import Recording
from offload_lab.paths import ROOT
from offload_lab.process.deadlines import Deadline
from offload_lab.process.process import Process
from offload_lab.stages import manifest
from offload_lab.stages.stage import short_private_folder

from .display import show_bundle

ADDRESS = re.compile(r"http://\S+")
READY_S = 30.0
HEIGHT_PX = 790
RECORDINGS = ROOT / "docs" / "recordings"
INSTEAD = "LAB_LIVE"  # "replay": there is no kernel any more when the page is read
FRAME = '<iframe {} title="{}" style="width:100%;height:{}px;border:1px solid #bbbbbb;background:#ffffff"></iframe>'

running: dict[tuple[str, ...], Process] = {}


def live(step: str, *variants: str) -> None:
    """Show the live view of `step` below the cell, in a process of its own that ends with the kernel.

    Raises: UnknownNameError for a step or a variant that there is not; LabError where it does not start.
    """
    found = manifest.find(step)
    chosen = tuple(found.variant(name).name for name in variants)
    if os.environ.get(INSTEAD) == "replay":
        replay(step)
        return
    stop_live()
    folder = short_private_folder()
    command = [sys.executable, "-m", "offload_lab", "live", found.name, *chosen, "--no-browser"]
    process = Process("live", command, folder / "live.log", scratch=folder, env={**os.environ, "PYTHONPATH": str(ROOT)})
    process.start()
    running[(found.name, *chosen)] = process
    process.wait_until(lambda: bool(ADDRESS.search(process.log_tail())), Deadline(READY_S))
    match = ADDRESS.search(process.log_tail())
    assert match
    show_frame(f'src="{html.escape(match[0])}"', f"live view of {found.name}: {match[0]}")


def stop_live() -> None:
    """End the live view that this kernel shows, if it shows one."""
    while running:
        _, process = running.popitem()
        process.stop()
        shutil.rmtree(process.log.parent, ignore_errors=True)


atexit.register(stop_live)


def replay(step: str) -> None:
    """Play the recording that docs/recordings has of `step`; no server is needed.

    Raises: LabError where there is none.
    """
    found = manifest.find(step)
    path = RECORDINGS / f"live-{found.number}.json"
    if not path.exists():
        raise LabError(f"no recording of {found.name}: {path.name}; save one with ./lab live {found.number}")
    page = LiveRecording.load(path).page()
    show_frame(f'srcdoc="{html.escape(page)}"', f"recording of the live view of {found.name}")


def live_recording(path: str | Path) -> list[Recording]:
    """What a live view saved at `path`, one recording a side, for `picture`."""
    return LiveRecording.load(Path(path)).recordings()


def show_frame(source: str, text: str) -> None:
    show_bundle({"text/html": FRAME.format(source, html.escape(text), HEIGHT_PX), "text/plain": text})
