"""What the notebook about `uwsgi.route()` needs beside `offload_lab.notebook`: a crash, as clients see
it, in the log, and in the patch that fixes it."""

import html
import itertools
import json
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from rich.table import Table

from offload_lab.clients import ping
from offload_lab.clients.session import Session
from offload_lab.clients.sse import SseClient
from offload_lab.errors import MissingDependencyError
from offload_lab.notebook.display import DIFF_STYLES, framed, show_bundle, show_table
from offload_lab.paths import ROOT
from offload_lab.stages.stage import Stage
from offload_lab.timeouts import scaled
from offload_lab.uwsgi import binary
from offload_lab.uwsgi.binary import Engine
from offload_lab.uwsgi.logs import backtrace

NEXT_WORKER_S = 30.0
PROOF_S = 60.0
PATCH = ROOT / "uwsgi_build" / "patches" / "01-route-null-guard.patch"
OUTSIDE = "(other libraries: Python running the view)"
ALARM = ("uwsgi_backtrace", "uwsgi_segfault")  # what writes the list, not what went wrong
# what uwsgi_build/README.md found out about them
MEANS = {
    "uwsgi_regexp_apply_ovec": "puts what the regular expression captured in place of $0, $1 …",
    "uwsgi_routing_translate": "replaces $1 and ${VARIABLES} in a route's arguments",
    "uwsgi_route_api_func": "makes a route out of the two strings of the call",
    "uwsgi_apply_routes_do": "goes through the routes of the INI",
    "python_call": "calls the Python application",
    "uwsgi_request_wsgi": "one request, as WSGI",
    "wsgi_req_recv": "the worker has taken one request",
    "simple_loop_run": "the worker waits for requests",
    "": "a function without a public name",
}


def built_engine() -> Engine | None:
    """The uWSGI on which `uwsgi.route()` works; where there is none, one line says how to get it."""
    try:
        found = binary.find("built")
        found.check(["route"])
    except MissingDependencyError:
        print("No patched uWSGI: type ./lab engine in a terminal and run this again.")
        return None
    print(f"The patched uWSGI is here: {found.version}.")
    return found


# --- clients, one after the other


@dataclass(frozen=True)
class ClientResult:
    """One client: the process id of the worker before, and the event (None: an empty reply)."""

    pid: int
    event: str | None


@dataclass
class CaseResult:
    """Clients, one after the other; the last worker's process id, the time that all took, and the front's log."""

    clients: list[ClientResult] = field(default_factory=list)
    last_pid: int = 0
    took_s: float = 0.0
    log: str = ""

    @property
    def served(self) -> int:
        return sum(client.event is not None for client in self.clients)

    @property
    def workers(self) -> int:
        """The number of different workers."""
        return len({client.pid for client in self.clients} | {self.last_pid})


def ask(stage: Stage, cookie: str) -> ClientResult:
    """One client requests the clock, waits for one event, and disconnects."""
    pid = ping(stage.port, NEXT_WORKER_S).pid
    try:
        with SseClient(stage.port, cookie=cookie) as client:
            return ClientResult(pid, client.next().data)
    except ConnectionError:
        return ClientResult(pid, None)


def request_in_turn(variant: str, on: Engine, times: int, done: Callable[[], None]) -> CaseResult:
    result = CaseResult()
    with Stage("05_uwsgi_api", variant, engine=on) as stage:
        ada = Session(stage.port)
        ada.log_in()
        start = time.monotonic()
        for _ in range(times):
            result.clients.append(ask(stage, ada.cookie))
            done()
        result.last_pid = ping(stage.port, NEXT_WORKER_S).pid
        result.took_s = time.monotonic() - start
        result.log = stage.front.log.read_text(errors="replace")
    return result


def request_in_each_case(
    cases: Mapping[str, tuple[str, Engine]], times: int, done: Callable[[float], None]
) -> dict[str, CaseResult]:
    """For each case, a variant on an engine: so many clients, one after the other. All cases at the same time.

    `done` gets the share done, 0 to 1.
    """
    requests = itertools.count(1)

    def run(case: tuple[str, Engine]) -> CaseResult:
        return request_in_turn(*case, times, lambda: done(next(requests) / (times * len(cases))))

    with ThreadPoolExecutor(len(cases)) as pool:
        return dict(zip(cases, pool.map(run, cases.values()), strict=True))


# --- the log


def show_backtrace(log: str) -> None:
    """The log's first backtrace down to where a worker waits for requests; what is not uWSGI's own in one line."""
    listed = backtrace(log)
    if not listed:
        print("This uWSGI wrote no backtrace (its C library cannot).")
        return
    own = listed[0][0]
    names = [function for _, function in listed]
    end = names.index("simple_loop_run") + 1 if "simple_loop_run" in names else len(names)
    rows = Table("innermost first", "what it does")
    for inside, group in itertools.groupby(listed[:end], lambda call: call[0] == own):
        functions = [function for _, function in group]
        if not inside and len(functions) == 1:
            rows.add_row("…", "the signal: the system calls the alarm")
        elif not inside:
            rows.add_row(f"… {len(functions)} more", OUTSIDE)
        for function in functions if inside else []:
            means = "the alarm that writes this list" if function in ALARM else MEANS.get(function, "")
            rows.add_row(function or "(static function)", means)
    show_table(rows)


# --- the fix and its proof


def show_patch(path: Path = PATCH) -> None:
    """The lines of a patch, without its message."""
    text = path.read_text()
    lines = text[text.index("--- a/") :].splitlines()
    rows = [
        f'<div style="{DIFF_STYLES.get(line[:1], "")}white-space:pre-wrap;">{html.escape(line)}</div>' for line in lines
    ]
    caption = str(path.relative_to(ROOT))
    show_bundle({"text/html": framed(caption, "".join(rows)), "text/plain": "\n".join([caption, *lines])})


def prove(on: Engine) -> list[str]:
    """The report of uwsgi_build/prove.py for that uWSGI: all abilities as observed, or those that are missing."""
    command = [sys.executable, str(ROOT / "uwsgi_build" / "prove.py"), *on.command]
    proof = subprocess.run(command, capture_output=True, text=True, timeout=scaled(PROOF_S))
    if proof.returncode:
        return [f"MISSING {line}" for line in proof.stderr.strip().removeprefix("engine: proof failed: ").split("; ")]
    return [f"proved  {ability}: {seen}" for ability, seen in json.loads(proof.stdout).items()]


# --- what a front sends to the backend


def variables(packet: bytes) -> dict[str, str]:
    """The request's variables in the packet that a front sends: sizes and texts by turns, after four bytes of head."""
    found, read_available = [], packet[4 : 4 + int.from_bytes(packet[1:3], "little")]
    while read_available:
        end = 2 + int.from_bytes(read_available[:2], "little")
        found.append(read_available[2:end].decode("latin-1"))
        read_available = read_available[end:]
    return dict(zip(found[::2], found[1::2], strict=True))
