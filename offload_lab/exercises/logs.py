"""The errors of an app in the log of its uWSGI. Text in, causes out."""

import re
from collections.abc import Iterator

from .cause import Cause

# uWSGI logs this without a traceback if it cannot iterate over what the app returned
NO_ITERABLE = re.compile(r"^TypeError: '(\w+)' object is not iterable$", re.MULTILINE)
NO_BYTES = re.compile(r"^\[ERROR\] Unhandled object from iterator: (.*) \(0x[0-9a-f]+\)$", re.MULTILINE)
TRACEBACK = re.compile(r"^Traceback \(most recent call last\):\n((?:[ \t].*\n)*)(\S.*)$", re.MULTILINE)
TRACEBACK_BEGINS = "Traceback (most recent call last)"
DIED = re.compile(r"^DAMN ! worker \d+ \(pid: (\d+)\) died(?:, (killed by signal \d+))?", re.MULTILINE)
WORKER_DIED = "worker_died"
CLIENT_LEFT = "OSError: write error"  # uWSGI raises it in the app whose client closed the connection
NOT_REACHED = re.compile(r"error routing request to \S+ server (.*)")
CALL = re.compile(r'^ +File "(.+)", line \d+, in (\S+)\n +(\S.*)$', re.MULTILINE)


def app_causes(server: str, log: str, folder: str) -> Iterator[Cause]:
    """The errors in the log of `server`; `folder` contains the learner's apps."""
    if errors := [found for found in TRACEBACK.findall(log) if found[1] != CLIENT_LEFT]:
        yield Cause(
            "exception", f"the log of {server} has an exception{raised_at(errors[-1][0], folder)}: {errors[-1][1]}"
        )
    if wrong := NO_ITERABLE.search(TRACEBACK.sub("", log)):
        what = (
            "None, as a function without a return does" if wrong[1] == "NoneType" else f"an object of type {wrong[1]}"
        )
        yield Cause("no_iterable", f"the app of {server} returned {what}; WSGI wants an iterable of bytes")
    if wrong := NO_BYTES.search(log):
        yield Cause(
            "no_bytes", f"the app of {server} gave uWSGI {wrong[1]} to send, and WSGI wants bytes: it was left out"
        )

    if died := DIED.search(log):
        how = f", {died[2]}" if died[2] else ": its process ended in the middle of its work"
        yield Cause(WORKER_DIED, f"the log of {server} says that worker {died[1]} died{how}")


def raised_at(calls: str, folder: str) -> str:
    """The place in the learner's own files, empty if it was elsewhere."""
    own = [(file.removeprefix(f"{folder}/"), code) for file, _, code in CALL.findall(calls) if file.startswith(folder)]
    return f" in {own[-1][0]}, at '{own[-1][1].strip()}'" if own else ""


def last_error(log: str) -> str:
    """The last line of the last Python traceback in `log`, empty if there is none."""
    _, traceback, rest = log.rpartition(TRACEBACK_BEGINS)
    return next((line for line in rest.splitlines()[1:] if not line.startswith((" ", "[pid"))), "") if traceback else ""
