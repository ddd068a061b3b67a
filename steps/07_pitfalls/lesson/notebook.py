"""What the notebook about pitfalls needs beside `offload_lab.notebook`: each patient looked at from outside, broken and
cured, by one visitor who asks and one who waits."""

import json
import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any

from rich.table import Table

from offload_lab.clients import ping
from offload_lab.clients.session import Session
from offload_lab.clients.sse import EventStreamParser, request_bytes
from offload_lab.inspect.socket_owners import find_socket_owners
from offload_lab.measure.streams import received
from offload_lab.notebook.display import progress, show_bundle, show_table
from offload_lab.paths import ROOT
from offload_lab.process.deadlines import LOOPBACK
from offload_lab.stages import manifest
from offload_lab.stages.stage import Stage
from offload_lab.system import NOT_TOLD, is_linux

STEP = "07_pitfalls"
# By number, since each name is a diagnosis: which pitfall it is, and which of the notebook's answers is its cause
PATIENTS = {
    1: ("no_offload_threads", 3),
    2: ("headers_twice", 1),
    3: ("content_type_bypass", 4),
    4: ("anonymous_user", 2),
    5: ("sse_never_flushes", 3),
    6: ("backend_down", 1),
}
LONGEST_LINE = 100  # characters of an answer's line that are shown
FIRST_LINES = 14
STATUS = re.compile(r"msecs (?:(via \w+\(\)) )?\(HTTP/1\.\d (\d+)\)")  # of a request in uWSGI's log


@dataclass(frozen=True)
class Chart:
    """What one visitor got of a variant within a while, and how the front was then, the visitor still there."""

    variant: str
    raw: bytes
    served: bool  # somebody else, at /ping
    busy: bool
    offloaded: int
    carrier: str
    log: list[str]  # the front's lines about the visitor

    @property
    def events(self) -> list[str]:
        return [event.data for event in EventStreamParser().feed(self.raw.partition(b"\r\n\r\n")[2])]

    @property
    def noticed(self) -> bool:
        """Whether a monitor would have: somebody else is not answered, or the log has a status of 500 or more."""
        return not self.served or any("HTTP/1.1 5" in line for line in self.log)


def examine(patient: int, path: str = "/subscribe", **how: Any) -> tuple[Chart, Chart]:
    """The patient and its cured twin, side by side; `how` is what `look` takes."""
    pitfall, _ = PATIENTS[patient]
    called = f"patient {patient}"
    with progress(called) as done, ThreadPoolExecutor(2) as both:
        charts = []
        for chart in both.map(lambda which: look(f"{pitfall}_{which}", path, **how), ("broken", "fixed")):
            charts.append(chart)
            done(len(charts) / 2)
    return replace(charts[0], variant=called), replace(charts[1], variant=f"{called}, cured")


def look(
    variant: str,
    path: str,
    *,
    step: str | manifest.Step = STEP,
    member: bool = False,
    headers: Mapping[str, str] | None = None,
    before: Callable[[Stage], object] = lambda stage: None,
    for_s: float = 1.0,
) -> Chart:
    """A visitor asks for `path`, logged in if a `member`, and takes what comes; `before` is done to the stage first."""
    with Stage(step, variant, placeholders={"tick_s": "0.1"}) as stage:
        ada = Session(stage.port)
        if member:
            ada.log_in()
        before(stage)
        [worker] = stage.workers()
        counted = worker.offloaded
        with socket.create_connection((LOOPBACK, stage.port), timeout=for_s) as visitor:
            visitor.sendall(request_bytes(stage.port, path, ada.cookie, (headers or {}).items()))
            raw = received(visitor, time.monotonic() + for_s)
            carrier = owner_in_words(stage, visitor.getsockname()[1])
            served = is_served(stage)
            [worker] = stage.workers()
        log = [line for line in stage.front.log.read_text(errors="replace").splitlines() if f"GET {path} " in line]
    return Chart(variant, raw, served, worker.busy, worker.offloaded - counted, carrier, log)


def stranger_and_member(variant: str, path: str, step: manifest.Step) -> tuple[Chart, Chart]:
    """The same variant looked at as a stranger and as ada, side by side."""
    with ThreadPoolExecutor(2) as both:
        stranger, ada = both.map(lambda member: look(variant, path, step=step, member=member), (False, True))
    return stranger, ada


def is_served(stage: Stage, within_s: float = 1.0) -> bool:
    try:
        return ping(stage.port, timeout_s=within_s).status == 200
    except OSError:
        return False


def owner_in_words(stage: Stage, port: int) -> str:
    holders = find_socket_owners(stage.port, port, stage.front.pids())
    if not holders:
        return "nobody, it is closed"
    if holders[0].tid is None:
        return "no thread just now" if is_linux() else NOT_TOLD
    return "the worker's main thread" if holders[0].is_main_thread else "an offload thread"


def symptom(chart: Chart, *, as_browser: bool = False) -> None:
    """What the visitor got, and whether somebody else was served meanwhile.

    A browser believes the first head, so it takes no more of the body than that says.
    """
    head, blank, body = chart.raw.partition(b"\r\n\r\n")
    if as_browser and (length := re.search(rb"Content-Length: (\d+)", head)):
        body = body[: int(length[1])]
    lines = (head + blank + body).decode(errors="replace").splitlines()
    print("\n".join(line[:LONGEST_LINE] for line in lines[:FIRST_LINES]) or "(not one byte)")
    if len(lines) > FIRST_LINES:
        print(f"… and {len(lines) - FIRST_LINES} lines more")
    print(f"\nsomebody else at /ping: {'pong' if chart.served else 'no answer'}")


def compare(cause: object, patient: int) -> None:
    """What the learner took for the cause, beside what it is."""
    _, right = PATIENTS[patient]
    if cause is None:
        print(f"You named no cause; it is number {right}. Write one above and run it again: being wrong helps.")
    else:
        print(
            f"You said {cause}. "
            + ("So it is." if cause == right else f"It is {right}: the measurements tell them apart.")
        )


def vitals(*charts: Chart) -> None:
    """What can be measured from outside, a row for each."""
    sizes = ("bytes", "heads", "events", "different")
    rows = Table("variant", "worker", "offloaded", "visitor waited for by", *sizes, "/ping")
    for one in charts:
        numbers = [len(one.raw), one.raw.count(b"HTTP/1."), len(one.events), len(set(one.events))]
        front = ["busy" if one.busy else "idle", f"+{one.offloaded}", one.carrier]
        rows.add_row(one.variant, *front, *map(str, numbers), "pong" if one.served else "no answer")
    show_table(rows)


def ward(charts: Sequence[Chart]) -> None:
    """What the front's log says of each patient, and whether a monitor would have noticed anything."""
    rows = Table("patient", "in the front's log", "a bystander's /ping", "noticed")
    for one in charts:
        said = STATUS.search(one.log[-1]) if one.log else None
        words = f"{said[2]}, {said[1] or 'answered by the worker'}" if said else "nothing yet"
        rows.add_row(one.variant, words, "pong" if one.served else "no answer", "yes" if one.noticed else "no")
    show_table(rows)


def lint(*files: str) -> None:
    """What ``./lab lint`` says of these INIs: of the clinic's by their names, of others by their paths."""
    folder = manifest.find(STEP).folder
    paths = [os.path.relpath(folder / file, ROOT) for file in files]
    command = [sys.executable, "-m", "offload_lab", "lint", *paths]
    plain = {name: value for name, value in os.environ.items() if name != "FORCE_COLOR"}  # a kernel has it set
    answer = subprocess.run(command, cwd=ROOT, env=plain, capture_output=True, text=True, check=False)
    print(f"exit status {answer.returncode}\n\n{answer.stdout}{answer.stderr}".rstrip())


def discharge() -> None:
    """Every pitfall of the step with its symptom and its page, as the step's own README lists them."""
    text = (manifest.find(STEP).folder / "README.md").read_text()
    rows = [line.replace("](", f"](../steps/{STEP}/") for line in text.splitlines() if line.startswith("|")]
    show_bundle({"text/markdown": "\n".join(rows), "text/plain": text[text.index("|") :]})


def names(chart: Chart) -> list[str]:
    """For whom the events are, as they say themselves."""
    return sorted({json.loads(data)["for"] for data in chart.events})
