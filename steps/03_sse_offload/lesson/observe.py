"""Five clients of an event stream, two of them anonymous: what each gets, and what the processes do."""

import json
import re
import sqlite3
from collections.abc import Iterable
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass
from functools import cached_property
from http.client import HTTPException
from pathlib import Path

import psutil

from offload_lab.clients.backend_request import BackendClient
from offload_lab.clients.event_stream import Event, EventStreamParser
from offload_lab.clients.raw import RawClient
from offload_lab.clients.session import Session
from offload_lab.clients.sse import request_bytes
from offload_lab.errors import LabError
from offload_lab.exercises.stuck_workers import stuck_workers
from offload_lab.inspect import Snapshot, Worker, take_snapshot
from offload_lab.inspect.threads import Blocked, blocked_threads
from offload_lab.process.polling import wait_for
from offload_lab.process.process import Process
from offload_lab.stages.stage import Stage
from offload_lab.uwsgi.logs import deaths, last_error, refused_by

ADA = "Ada Łovelace"  # no header may hold this name as it is
OFFLOAD_HEADER = "X-Offload-to-SSE"
CROWD = 3
SETTLED_S = 5.0
LOGGED = re.compile(r"\{(\d+) vars in .* (?:GET|POST) (\S+) => ")


@dataclass(frozen=True)
class Answer:
    """`raw` is all that one client got, `ended` whether the connection was closed, `asked` the number of requests that
    reached the backend meanwhile."""

    raw: bytes
    ended: bool = False
    asked: int = 0

    @property
    def heads(self) -> int:
        return self.raw.count(b"HTTP/1.")

    @property
    def head(self) -> str:
        return self.raw.partition(b"\r\n\r\n")[0].decode("latin-1") if self.heads else ""

    @property
    def status(self) -> str:
        """The first status line without its version, empty where there is none."""
        return self.head.partition("\r\n")[0].partition(" ")[2]

    @property
    def offload_header(self) -> str:
        """The line of Django's offload header, empty where the client does not get it."""
        return next(
            (line for line in self.raw.decode("latin-1").split("\r\n") if line.startswith(f"{OFFLOAD_HEADER}:")), ""
        )

    @cached_property
    def events(self) -> list[Event]:
        return EventStreamParser().feed(self.raw.rpartition(b"\r\n\r\n")[2])

    @property
    def called(self) -> str:
        """The name in the first ticket."""
        data = self.events[0].data if self.events else ""
        with suppress(ValueError, KeyError, TypeError):
            return str(json.loads(data)["for"])
        return data


@dataclass(frozen=True)
class Seen:
    """`ada` is the first of the crowd, `got_ticket` tells of each of them whether a ticket came.

    `backend_received` are the variables with which one of them reached the backend, `threads` is what the threads of
    the backend's worker wait for, `backend_threads` their number. `offload_header_taken`: the front had one variable
    more when Django had answered ada. `not_reached` is an address that refused a route's connection. `raised` and
    `backend_error` are the last lines of tracebacks in the two logs, `deaths` the last log lines of the backend's
    workers before they died. `ada_id` is her primary key in the database.
    """

    snapshot: Snapshot
    path: str
    anonymous: Answer
    forger: Answer
    ada: Answer
    got_ticket: tuple[bool, ...]
    backend_received: dict[str, str]
    threads: dict[int, Blocked]
    backend_threads: int
    offload_header_taken: bool
    not_reached: str
    raised: str
    backend_error: str
    deaths: tuple[str, ...]
    ada_id: str

    @property
    def busy(self) -> Worker | None:
        """A worker of the front that has not become free."""
        return next((worker for worker in self.snapshot.front.workers if worker.busy), None)

    @property
    def backend(self) -> Worker:
        """The backend's worker; one without a process id while it is being replaced."""
        return next(iter(self.snapshot.servers[0].workers), Worker(0, False))

    @property
    def app(self) -> str:
        return f"{self.snapshot.servers[0].name}, worker {self.backend.pid}"


class Listener(RawClient):
    """One subscriber at the front."""

    def __init__(self, stage: Stage, cookie: str = "", headers: Iterable[tuple[str, str]] = ()) -> None:
        super().__init__(stage.port, request_bytes(stage.port, stage.step.path, cookie, headers))

    def tickets(self) -> int:
        """Read what has arrived; the number of events so far."""
        self.read_available()
        return len(Answer(self.raw).events)


def observe(stage: Stage) -> Seen:
    """Log in, rename ada, let two anonymous clients ask; then ada subscribes three times: observe the processes."""
    snapshot = take_snapshot(stage.step, stage.variant, stage.run)
    client = Session(stage.port, SETTLED_S)
    with suppress(OSError, HTTPException):
        client.log_in()
        rename(stage.run, ADA)
    anonymous = ask(stage)
    forger = ask(stage, [("Content-Type", "text/event-stream")])
    asked = backend_requests(stage)
    with ExitStack() as exits:
        crowd = [exits.enter_context(Listener(stage, client.cookie)) for _ in range(CROWD)]
        with suppress(TimeoutError):
            wait_for(lambda: settled(stage, crowd, asked), SETTLED_S, "all streams served")
        with suppress(LabError):
            snapshot = take_snapshot(stage.step, stage.variant, stage.run)
        threads = {tid: at for worker in snapshot.servers[0].workers for tid, at in blocked_threads(worker.pid).items()}
        backend_threads = sum(thread_count(worker.pid) for worker in snapshot.servers[0].workers)
        variables = backend_variables(stage)
        asked = backend_requests(stage) - asked
    front_log, backend_log = log_of(stage.front), log_of(stage.processes[0])
    ask_backend_without_name(stage)
    return Seen(
        snapshot=snapshot,
        path=stage.step.path,
        anonymous=anonymous,
        forger=forger,
        ada=Answer(crowd[0].raw, crowd[0].closed, asked),
        got_ticket=tuple(bool(Answer(listener.raw).events) for listener in crowd),
        backend_received=variables,
        threads=threads,
        backend_threads=backend_threads,
        offload_header_taken=offload_header_taken(front_log, stage.step.path),
        not_reached="".join(refused_by(front_log)[-1:]),
        raised=last_error(front_log),
        backend_error=last_error(backend_log),
        deaths=tuple(death.before for death in deaths(backend_log)),
        ada_id=id_of(stage.run, ADA),
    )


def thread_count(pid: int) -> int:
    """0 where the process is gone, or may not be read."""
    with suppress(psutil.Error):
        return psutil.Process(pid).num_threads()
    return 0


def rename(run: Path, name: str) -> None:
    """Ada is called `name` from now on; her session does not depend on it."""
    with closing(sqlite3.connect(run / "django.sqlite3", isolation_level=None)) as database:
        database.execute("UPDATE auth_user SET username = ? WHERE username = 'ada'", [name])


def ask_backend_without_name(stage: Stage) -> None:
    """What the backend makes of it stands in its log."""
    with suppress(OSError), BackendClient(stage.run / "sse.sock", timeout_s=SETTLED_S, X_OFFLOAD="") as client:
        str(client.head)


def id_of(run: Path, name: str) -> str:
    """The user's primary key, empty where there is no such user."""
    with closing(sqlite3.connect(run / "django.sqlite3")) as database:
        return "".join(str(id) for (id,) in database.execute("SELECT id FROM auth_user WHERE username = ?", [name]))


def ask(stage: Stage, headers: Iterable[tuple[str, str]] = ()) -> Answer:
    """An anonymous client's answer: to its end, or to the first ticket."""
    before = backend_requests(stage)
    with Listener(stage, headers=headers) as listener:
        with suppress(TimeoutError):
            wait_for(lambda: listener.tickets() > 0 or listener.closed, SETTLED_S, "an answer")
        asked = backend_requests(stage) - before  # while it is open, a stream is among those in progress
    return Answer(listener.raw, listener.closed, asked)


def settled(stage: Stage, crowd: list[Listener], asked: int) -> bool:
    """All get events and the front is free; or one has got the second ticket, which is sent a second later; or the
    worker proxies a stream by itself; or the backend has died."""
    tickets = [listener.tickets() for listener in crowd]
    if deaths(log_of(stage.processes[0])):
        return True
    if max(tickets) > 1:  # a worker that authorises is busy too, but not for long
        return not any(worker.busy for worker in stage.workers()) or bool(stuck_workers(stage))
    if all(number or listener.closed for number, listener in zip(tickets, crowd, strict=True)):
        return not any(worker.busy for worker in stage.workers())
    if backend_requests(stage) == asked:
        return False
    return any(
        front_worker.busy and not front_worker.may_offload
        for front_worker in take_snapshot(stage.step, stage.variant, stage.run).front.workers
    )


def log_of(process: Process) -> str:
    return process.log.read_text(errors="replace")


def backend_requests(stage: Stage) -> int:
    """How many have reached the backend, those in progress included; both from one answer of its stats."""
    workers = stage.processes[0].stats()["workers"]
    return sum(worker["requests"] + sum(core["in_request"] for core in worker["cores"]) for worker in workers)


def backend_variables(stage: Stage) -> dict[str, str]:
    """The variables of one request that the backend is serving."""
    for worker in stage.processes[0].stats()["workers"]:
        for core in worker["cores"]:
            if core["in_request"]:
                return dict(variable.split("=", 1) for variable in core["vars"] if "=" in variable)
    return {}


def offload_header_taken(log: str, path: str) -> bool:
    """uWSGI's log counts variables, name and value as two. Ada's request has one more than an anonymous client's, her
    cookie; one more than that can only come from Django's response."""
    numbers = [int(number) for number, asked in LOGGED.findall(log) if asked == path]
    anonymous, adas = numbers[:1], numbers[2:3]
    return bool(adas) and adas[0] > anonymous[0] + 2
