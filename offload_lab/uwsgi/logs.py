"""What uWSGI's log says of apps, workers and proxied requests. Text in, facts out."""

import re
from itertools import pairwise
from typing import NamedTuple

CLIENT_LEFT = "OSError: write error"  # uWSGI raises it in the app whose client closed the connection
REQUEST = "[pid: "  # a line about a request begins so, and may contain any text
TRACEBACK = re.compile(
    r"^Traceback \(most recent call last\):\n((?:(?:[ \t]|\[pid).*\n)*)(?!\[pid)(\S.*)$", re.MULTILINE
)
# uWSGI logs this without a traceback if it cannot iterate over what the app returned
NOT_ITERABLE = re.compile(r"^TypeError: '(\w+)' object is not iterable$", re.MULTILINE)
NOT_BYTES = re.compile(r"^\[ERROR\] Unhandled object from iterator: (.*) \(0x[0-9a-f]+\)$", re.MULTILINE)
DIED = re.compile(r"DAMN ! worker \d+ \(pid: (\d+)\) died(?:, (killed by signal \d+))?")
REFUSED = re.compile(r"error routing request to \S+ server (.*)")
WORKER_CHANGES = re.compile(r"uWSGI process \d+ got|DAMN|Respawned|respawning too fast")
CRASH = re.compile(r"uWSGI process (\d+) got Segmentation Fault.*?\(uwsgi_segfault\+.*?\((\w+)\+", re.DOTALL)
BACKTRACE = re.compile(r"\*\*\* backtrace of \d+ \*\*\*\n(.*?)\*\*\* end of backtrace", re.DOTALL)
FRAME = re.compile(r"([^(]+)\(([^+)]*)")
# a line with one of these says why uWSGI ended
ERROR_WORDS = ("strict-mode", "Error", "error", "invalid", "unable", "failed", "unknown", "bind()", "no such")


class AppError(NamedTuple):
    """An exception that ended a request. `calls`: the lines of its traceback. `error`: its last line."""

    calls: str
    error: str


class Death(NamedTuple):
    """`signal`: ``killed by signal 9``, empty where none was. `before`: the line of the log above."""

    pid: int
    signal: str
    before: str


class Crash(NamedTuple):
    """A segmentation fault of the process `pid`, in the C function `function`."""

    pid: int
    function: str


class Frame(NamedTuple):
    """A function of a C backtrace; empty if it is static."""

    file: str
    function: str


def app_errors(log: str) -> list[AppError]:
    return [AppError(*found) for found in TRACEBACK.findall(log)]


def last_error(log: str) -> str:
    """The last line of the last Python traceback, empty if there is none."""
    return next((found.error for found in reversed(app_errors(log))), "")


def not_iterable(log: str) -> str:
    """The type of what an app returned in place of an iterable; empty if none did."""
    found = NOT_ITERABLE.search(TRACEBACK.sub("", log))
    return found[1] if found else ""


def not_bytes(log: str) -> str:
    """What an app's iterable yielded in place of bytes; empty if none did."""
    found = NOT_BYTES.search(log)
    return found[1] if found else ""


def refused_by(log: str) -> list[str]:
    """The addresses to which a route could not connect."""
    return [address.strip() for address in REFUSED.findall(log)]


def deaths(log: str) -> list[Death]:
    """The workers that died unasked."""
    return [
        Death(int(found[1]), found[2] or "", before)
        for before, line in pairwise(["", *log.splitlines()])
        if (found := DIED.match(line))
    ]


def first_crash(log: str) -> Crash | None:
    """None also where uWSGI wrote no backtrace."""
    found = CRASH.search(log)
    return Crash(int(found[1]), found[2]) if found else None


def worker_changes(log: str) -> list[str]:
    """The lines about workers that died and were respawned."""
    return [line for line in log.splitlines() if WORKER_CHANGES.search(line)]


def backtrace(log: str) -> list[Frame]:
    """The first C backtrace, the innermost function first; empty where there is none."""
    found = BACKTRACE.search(log)
    frames = (FRAME.match(line) for line in found[1].splitlines()) if found else ()
    return [Frame(frame[1].rpartition("/")[2], frame[2]) for frame in frames if frame]


def error_lines(log: str) -> list[str]:
    """The lines that say why uWSGI did not start, or what failed."""
    lines = [line.strip() for line in log.splitlines() if not line.startswith((REQUEST, CLIENT_LEFT))]
    return [line for line in lines if any(word in line for word in ERROR_WORDS)]
