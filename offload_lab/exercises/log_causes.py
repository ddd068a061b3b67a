"""The errors of an app in the log of its uWSGI, as causes of a wrong answer."""

import re
from collections.abc import Iterator

from offload_lab.uwsgi.logs import CLIENT_LEFT, app_errors, deaths, not_bytes, not_iterable

from .cause import Cause

WORKER_DIED = "worker_died"
CALL = re.compile(r'^ +File "(.+)", line \d+, in (\S+)\n +(\S.*)$', re.MULTILINE)


def log_causes(server: str, log: str, folder: str) -> Iterator[Cause]:
    """The errors in the log of `server`; `folder` contains the learner's apps."""
    if errors := [found for found in app_errors(log) if found.error != CLIENT_LEFT]:
        calls, error = errors[-1]
        yield Cause("exception", f"the log of {server} has an exception{raised_at(calls, folder)}: {error}")
    if returned := not_iterable(log):
        what = (
            "None, as a function without a return does" if returned == "NoneType" else f"an object of type {returned}"
        )
        yield Cause("no_iterable", f"the app of {server} returned {what}; WSGI wants an iterable of bytes")
    if yielded := not_bytes(log):
        yield Cause(
            "no_bytes", f"the app of {server} gave uWSGI {yielded} to send, and WSGI wants bytes: it was left out"
        )
    for pid, signal, _ in deaths(log)[:1]:
        reason = f", {signal}" if signal else ": its process ended in the middle of its work"
        yield Cause(WORKER_DIED, f"the log of {server} says that worker {pid} died{reason}")


def raised_at(calls: str, folder: str) -> str:
    """The place in the learner's own files, empty if it was elsewhere."""
    own = [(file.removeprefix(f"{folder}/"), code) for file, _, code in CALL.findall(calls) if file.startswith(folder)]
    return f" in {own[-1][0]}, at '{own[-1][1].strip()}'" if own else ""
