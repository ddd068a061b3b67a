"""One INI file as a running uWSGI: placeholders, port, stats server, readiness."""

import os
import sys
from collections.abc import Mapping, Sequence
from http.client import HTTPException, RemoteDisconnected
from pathlib import Path
from typing import Any

import psutil

from offload_lab.errors import PathTooLongError, WrongPingError
from offload_lab.process.http import fetch
from offload_lab.process.server_process import ServerProcess
from offload_lab.timeouts import scaled

from . import binary as engines
from .binary import Engine
from .stats import WorkerStats, parse_workers, read_stats

SOCKET_PATH_LIMIT = 107  # sockaddr_un.sun_path less its closing NUL, unix(7)
PING_S = 2.0


def environment(path: Sequence[str]) -> dict[str, str]:
    """This process's environment without UWSGI_* variables, each of which uWSGI takes for an option.

    The programs that the INI starts are searched in `path`, then beside this Python, which has the packages. A Django
    that asks its backend whether it answers waits longer on a busy machine (stages/site/backend.py).
    """
    folders = [*path, os.path.dirname(sys.executable), *os.get_exec_path()]
    kept = {name: value for name, value in os.environ.items() if not name.startswith("UWSGI_")}
    return {"OFFLOAD_ANSWER_S": str(scaled(0.5)), **kept, "PATH": os.pathsep.join(dict.fromkeys(folders))}


class Uwsgi(ServerProcess):
    """A uWSGI started from `ini`, with its sockets and log in `run`.

    With a `port` it is a front: ready once ``GET /ping`` answers 200. Without, it is a backend: ready once its stats
    server lists a worker that accepts, which with ``need-app`` means that the app is loaded. `path`: folders of the
    programs that the INI starts. `environ`: variables for its processes, beside this process's environment.
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
        grace_s: float | None = None,
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
            grace_s=grace_s,
        )

    def start(self) -> None:
        """Raises: PathTooLongError or PortInUseError before anything is started; StartError."""
        if len(os.fsencode(self.stats_socket)) > SOCKET_PATH_LIMIT:
            raise PathTooLongError(str(self.stats_socket), SOCKET_PATH_LIMIT)
        super().start()

    def is_ready(self) -> bool:
        try:
            # a worker that has not reached its loop yet would lose a SIGTERM
            if not any(worker["accepting"] and worker["pid"] for worker in self.stats()["workers"]):
                return False
            return self.port is None or self.answer_to_ping() == "200"
        except OSError:
            return False

    def probe(self) -> bool:
        """Raises: WrongPingError where a worker answered the ping, but not with 200: it would do so again."""
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
        try:
            return str(fetch(self.port, "/ping", timeout_s=PING_S).status)
        except RemoteDisconnected:
            return "an empty reply"
        except HTTPException:
            return "no status line"

    def stats(self) -> dict[str, Any]:
        """The stats server's answer.

        Raises: StatsError where there is none.
        """
        return read_stats(self.stats_socket)

    def workers(self) -> list[WorkerStats]:
        """Raises: StatsError where the stats server does not answer."""
        return parse_workers(self.stats())

    def pids(self) -> list[int]:
        """The process ids of the master and all its descendants; empty once it has ended."""
        try:
            return [self.pid, *(child.pid for child in psutil.Process(self.pid).children(recursive=True))]
        except psutil.NoSuchProcess:
            return []
