"""One INI file as a running uWSGI: placeholders, port, stats server, readiness."""

import json
import os
import socket
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException, RemoteDisconnected
from pathlib import Path
from typing import Any

import psutil

from offload_lab.errors import PathTooLongError, PortInUseError, ProcessDiedError, WrongPingError
from offload_lab.process.deadlines import LOOPBACK, Deadline, DeadlineSocket, readable
from offload_lab.process.process import Process

from . import binary as engines
from .binary import Engine

SOCKET_PATH_LIMIT = 107  # sockaddr_un.sun_path less its closing NUL, unix(7)
PING_S = 2.0


@dataclass(frozen=True)
class Worker:
    """One worker as the stats server tells it. `requests` and `offloaded` count since this worker was spawned."""

    pid: int
    status: str
    requests: int
    offloaded: int

    @property
    def busy(self) -> bool:
        return self.status == "busy"


def free_port() -> int:
    """A TCP port on 127.0.0.1 that the kernel had free a moment ago."""
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        port: int = probe.getsockname()[1]
        return port


def port_is_busy(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as uWSGI binds
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return True
    return False


def parse_workers(stats: dict[str, Any]) -> list[Worker]:
    """The live workers in a stats server's answer; a worker that is being respawned has pid 0 and is left out."""
    return [
        Worker(
            pid=worker["pid"],
            status=worker["status"],
            requests=worker["requests"],
            offloaded=sum(core["offloaded_requests"] for core in worker["cores"]),
        )
        for worker in stats["workers"]
        if worker["pid"]
    ]


def environment(path: Sequence[str]) -> dict[str, str]:
    """Ours without the UWSGI_* variables, each of which uWSGI takes for an option. What the INI starts is found in
    `path`, then beside this Python: a `python3` in an INI is the one that has the packages."""
    folders = [*path, os.path.dirname(sys.executable), *os.get_exec_path()]
    kept = {name: value for name, value in os.environ.items() if not name.startswith("UWSGI_")}
    return {**kept, "PATH": os.pathsep.join(dict.fromkeys(folders))}


def read_stats(path: Path, within_s: float = 5.0) -> dict[str, Any]:
    """The answer of the stats server at the UNIX socket `path`, whole.

    Raises: OSError where nothing listens there or nothing whole comes: TimeoutError after `within_s`, ConnectionError
        for an answer that is empty, cut, or no JSON.
    """
    deadline = Deadline(within_s)
    answer = b""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(deadline.seconds)
        connection.connect(str(path))
        while True:
            if not readable(connection, deadline.left()):
                raise TimeoutError(f"the stats server at {path} did not end its answer within {within_s:g} s")
            if not (chunk := connection.recv(65536)):
                break
            answer += chunk
    try:
        stats: dict[str, Any] = json.loads(answer)
    except ValueError:
        raise ConnectionError(f"the stats server at {path} answered {answer[:80]!r}, which is not whole") from None
    return stats


class Uwsgi(Process):
    """A uWSGI started from `ini`, with its sockets and log in `run`.

    With a `port` it is a front: ready once ``GET /ping`` answers 200. Without, a backend: ready once its stats server
    answers and lists a worker, which with ``need-app`` means that the app is loaded. `path`: folders of programs that
    the INI starts. `environ`: what its processes are given besides our own environment.
    """

    def __init__(
        self,
        ini: Path,
        run: Path,
        *,
        port: int | None = None,
        engine: Engine | None = None,
        placeholders: dict[str, str] | None = None,
        options: Sequence[str] = (),
        path: Sequence[str] = (),
        environ: Mapping[str, str] | None = None,
    ) -> None:
        self.ini, self.run, self.port = ini, run, port
        self.engine = engine or engines.find()
        self.stats_socket = run / f"{ini.stem}-stats.sock"
        values = {"run": str(run), **({"port": str(port)} if port else {}), **(placeholders or {})}
        overrides = [word for name, value in values.items() for word in ("--set-placeholder", f"{name}={value}")]
        super().__init__(
            ini.stem,
            [*self.engine.command, *overrides, *options, "--ini", str(ini)],  # overrides count only before the file
            log=run / f"{ini.stem}.log",
            scratch=run,
            env={**environment(path), **(environ or {})},
        )

    def start(self) -> None:
        """Raises: PathTooLongError or PortInUseError before anything is started."""
        if len(os.fsencode(self.stats_socket)) > SOCKET_PATH_LIMIT:
            raise PathTooLongError(str(self.stats_socket), SOCKET_PATH_LIMIT)
        if self.port and port_is_busy(self.port):
            raise PortInUseError(self.port)
        super().start()

    def wait_ready(self, deadline: Deadline) -> None:
        """Raises: ProcessDiedError, NotReadyError, WrongPingError; PortInUseError if another program took the port."""
        try:
            self.wait_until(self.is_ready_or_wrong, deadline)
        except ProcessDiedError:
            if self.port and port_is_busy(self.port):
                raise PortInUseError(self.port) from None
            raise

    def is_ready(self) -> bool:
        try:
            # a worker that has not reached its loop yet would lose a SIGTERM
            if not any(worker["accepting"] and worker["pid"] for worker in self.stats()["workers"]):
                return False
            return self.port is None or self.answer_to_ping() == "200"
        except OSError:
            return False

    def is_ready_or_wrong(self) -> bool:
        """Raises: WrongPingError where a worker took the ping, and its answer is no 200: the next one will not be,
        either.
        """
        if self.is_ready():
            return True
        try:
            workers = self.workers()
            answer = self.answer_to_ping() if self.port and any(worker.requests for worker in workers) else "200"
        except OSError:
            return False
        if answer != "200":
            offloaded = sum(worker.offloaded for worker in workers)
            raise WrongPingError(self.name, answer, offloaded, self.log_tail())
        return False

    def answer_to_ping(self) -> str:
        """The status of ``GET /ping``, or what came in its place.

        Raises: OSError if nothing came in time.
        """
        assert self.port is not None
        connection = HTTPConnection(LOOPBACK, self.port)
        connection.sock = DeadlineSocket(self.port, PING_S)
        try:
            connection.request("GET", "/ping", headers={"Connection": "close"})
            with connection.getresponse() as response:
                response.read()
                return str(response.status)
        except RemoteDisconnected:
            return "an empty reply"
        except HTTPException:
            return "no status line"
        finally:
            connection.close()

    def stats(self) -> dict[str, Any]:
        """The stats server's answer, whole.

        Raises: OSError where there is none.
        """
        return read_stats(self.stats_socket)

    def workers(self) -> list[Worker]:
        return parse_workers(self.stats())

    def pids(self) -> list[int]:
        """The master's and all its descendants' process ids; empty once it has ended."""
        try:
            return [self.pid, *(child.pid for child in psutil.Process(self.pid).children(recursive=True))]
        except psutil.NoSuchProcess:
            return []
