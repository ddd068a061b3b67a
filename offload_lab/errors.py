"""Errors with a remedy: each carries its data and writes one sentence with the value and the next step."""

import difflib
import signal
from collections.abc import Iterable


class LabError(Exception):
    """Base of all errors that the command line shows without a traceback."""


class ProcessDiedError(LabError):
    """The child ended while it was needed. `status` is its exit status, negative for a signal."""

    def __init__(self, name: str, status: int | None, log_tail: str) -> None:
        super().__init__(name, status, log_tail)
        self.name, self.status, self.log_tail = name, status, log_tail

    def __str__(self) -> str:
        return f"{self.name} {ending(self.status)}; the end of its log:\n{indent(self.log_tail)}"


class NotReadyError(LabError):
    """The child lives but its readiness probe did not succeed within `deadline_s` seconds."""

    def __init__(self, name: str, deadline_s: float, log_tail: str) -> None:
        super().__init__(name, deadline_s, log_tail)
        self.name, self.deadline_s, self.log_tail = name, deadline_s, log_tail

    def __str__(self) -> str:
        return f"{self.name} was not ready after {self.deadline_s:g} s; the end of its log:\n{indent(self.log_tail)}"


class WrongPingError(NotReadyError):
    """A front answered its readiness probe, `GET /ping`, but not with 200.

    `answer` is the status or what came in its place; `offloaded` counts the requests it had offloaded by then.
    """

    def __init__(self, name: str, answer: str, offloaded: int, log_tail: str) -> None:
        super().__init__(name, 0, log_tail)
        self.answer, self.offloaded = answer, offloaded

    def __str__(self) -> str:
        sender = " from an offload thread" if self.offloaded else ""
        return f"{self.name}: GET /ping got {self.answer}{sender}; the end of its log:\n{indent(self.log_tail)}"


class StillRunningError(NotReadyError):
    """The child did not end by itself within `deadline_s` seconds."""

    def __str__(self) -> str:
        return f"{self.name} still ran after {self.deadline_s:g} s; the end of its log:\n{indent(self.log_tail)}"


class NotStoppedError(LabError):
    """A process was not reaped within `waited_s` seconds, after SIGTERM and SIGKILL."""

    def __init__(self, name: str, pid: int, waited_s: float) -> None:
        super().__init__(name, pid, waited_s)
        self.name, self.pid, self.waited_s = name, pid, waited_s

    def __str__(self) -> str:
        command = f"ps -o pid,stat,wchan,args -g {self.pid}"
        return f"{self.name} (process {self.pid}) was not reaped within {self.waited_s:g} s; see: {command}"


class StartError(LabError):
    """The command could not be executed at all."""


class PortInUseError(LabError):
    """Another program already listens there."""

    def __init__(self, port: int) -> None:
        super().__init__(port)
        self.port = port

    def __str__(self) -> str:
        command = f"ss -ltnp 'sport = :{self.port}'"
        return f"port {self.port} on 127.0.0.1 is already in use; choose another with --port, or find it: {command}"


class LoopbackDownError(LabError):
    """No route leads to 127.0.0.1: a server could listen there, and no client would reach it."""

    def __str__(self) -> str:
        return "127.0.0.1 cannot be reached, the loopback interface is down; as root, switch it on: ip link set lo up"


class PathTooLongError(LabError):
    """A UNIX socket's path does not fit into the kernel's address structure."""

    def __init__(self, path: str, limit: int) -> None:
        super().__init__(path, limit)
        self.path, self.limit = path, limit

    def __str__(self) -> str:
        return (
            f"the socket path {self.path} has {len(self.path.encode())} bytes, the kernel takes {self.limit};"
            " choose a shorter run folder"
        )


class UnknownNameError(LabError):
    """A name that does not exist: its kind, the nearest that does, else all that do; `owner` is what should have it."""

    def __init__(self, kind: str, name: str, known: Iterable[str], owner: str = "") -> None:
        super().__init__(kind, name, known, owner)
        self.kind, self.name, self.known, self.owner = kind, name, list(known), owner

    @property
    def nearest(self) -> str | None:
        return next(iter(difflib.get_close_matches(self.name, self.known, n=1, cutoff=0.4)), None)

    def __str__(self) -> str:
        subject = f"{self.owner} has no" if self.owner else "no"
        advice = f"did you mean {self.nearest}?" if self.nearest else f"there are: {', '.join(self.known) or 'none'}"
        return f"{subject} {self.kind} {self.name!r}; {advice}"


class ManifestError(LabError):
    """A step.toml is invalid."""


class MissingDependencyError(LabError):
    """An optional dependency is missing: its purpose, and the command that installs it."""

    def __init__(self, what: str, purpose: str, install: str) -> None:
        super().__init__(what, purpose, install)
        self.what, self.purpose, self.install = what, purpose, install

    def __str__(self) -> str:
        return f"{self.what} is missing; it is needed for {self.purpose}; install it with: {self.install}"


class RegionError(LabError):
    """The marker lines around a task's region were changed: what is wrong, and in which file."""


class WorkspaceError(LabError):
    """A learner's folder exists and would be overwritten, or does not exist yet."""


class CheckError(LabError):
    """The learner's folder cannot be checked: a file is missing or cannot be parsed."""


def ending(status: int | None) -> str:
    """``ended with status 1``; `status` is negative for a signal."""
    names = {-number.value: number.name for number in signal.Signals}
    return f"ended with status {status}" + (f" ({names[status]})" if status in names else "")


def indent(text: str) -> str:
    return "\n".join(f"    {line}" for line in text.splitlines()) or "    (empty)"
