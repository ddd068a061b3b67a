"""A server under test, running for one cell; leaving the block leaves no process, socket or file behind."""

import os
import pwd
import re
import resource
import shutil
import socket
import sys
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Self

from offload_lab import programs
from offload_lab.clients import ping
from offload_lab.paths import ROOT
from offload_lab.process.deadlines import Deadline
from offload_lab.process.process import Process
from offload_lab.process.server_process import free_port
from offload_lab.stages.stage import short_private_folder
from offload_lab.uwsgi import binary

from . import process_tree
from .plan import Cell
from .site.feeds import FILE
from .specs import ServerSpec

COPIED = ("django.sqlite3", "secret-key")  # each server may change its own
READY_S = 30.0
GRACE_S = 1.0  # some servers wait for their streams to end
SPARE_DESCRIPTORS = 100  # for everything that is no stream
PLACEHOLDER = re.compile(r"@([a-z]+\d?)@")
# variables that a server takes for options
OPTION_VARIABLES = ("UWSGI_", "GUNICORN_", "UVICORN_", "GRANIAN_", "WEB_CONCURRENCY")


class Server:
    """`prepared` is the folder that bench.site.prepare filled.

    Raises: ProcessDiedError or NotReadyError on entry where the server does not start.
    """

    def __init__(self, spec: ServerSpec, cell: Cell, prepared: Path) -> None:
        self.spec, self._cell, self._prepared = spec, cell, prepared
        self.processes: list[Process] = []
        self.last_logs = ""  # the ends of the logs, once it is stopped

    def __enter__(self) -> Self:
        with ExitStack() as exits:
            self.run = short_private_folder()
            exits.callback(shutil.rmtree, self.run, ignore_errors=True)
            self._copy_prepared()
            self._values = self._placeholders()
            self.port = int(self._values["port"])
            for name in self.spec.files:
                (self.run / name).write_text(self.fill((self.spec.folder / name).read_text()))
            deadline = Deadline(READY_S)
            for entry in self.spec.process:
                process = Process(
                    entry["name"],
                    self.command(entry["command"]),
                    self.run / f"{entry['name']}.log",
                    scratch=self.run,
                    env=self._environment(),
                    grace_s=GRACE_S,
                )
                self.processes.append(exits.enter_context(process))
                if "listens" in entry:
                    process.wait_until(partial(accepts, self.fill(entry["listens"])), deadline)
            self.processes[-1].wait_until(self.answers, deadline)
            self._exits = exits.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self.last_logs = "\n".join(f"--- {process.name}\n{process.log_tail(10)}" for process in self.processes)
        for process in self.processes:
            process.ask_to_stop()  # all at once
        self._exits.close()

    def answers(self, within_s: float = 5.0) -> bool:
        try:
            return ping(self.port, within_s).status == 200
        except OSError:
            return False

    def cpu_s(self) -> dict[str, float]:
        """By process, with its descendants: seconds used so far."""
        return {process.name: process_tree.total(process_tree.cpu_s, process.pid) for process in self.processes}

    def own_kib(self) -> dict[str, float]:
        return {process.name: process_tree.total(process_tree.own_kib, process.pid) for process in self.processes}

    def threads(self) -> dict[str, float]:
        return {process.name: process_tree.total(process_tree.threads, process.pid) for process in self.processes}

    def ended(self) -> list[str]:
        """The names of the processes that have ended by themselves."""
        return [process.name for process in self.processes if process.status() is not None]

    def _copy_prepared(self) -> None:
        for name in COPIED:
            shutil.copy(self._prepared / name, self.run)
        os.link(self._prepared / FILE, self.run / FILE)

    def _placeholders(self) -> dict[str, str]:
        return {
            "run": str(self.run),
            "here": str(self.spec.folder),
            "bench": str(Path(__file__).parent),
            "python": sys.executable,
            "user": pwd.getpwuid(os.geteuid()).pw_name,
            "streams": str(self._cell.streams + SPARE_DESCRIPTORS),
            "threads": str(self._cell.threads),
            "workers": str(self._cell.workers),
            "backends": str(self._cell.backends),
            "descriptors": str(resource.getrlimit(resource.RLIMIT_NOFILE)[0]),
            "port": str(free_port()),
        }

    def fill(self, text: str) -> str:
        """`text` with each @name@ replaced; @port1@ and so on are further free ports."""

        def value(match: re.Match[str]) -> str:
            name = match[1]
            if name.startswith("port") and name not in self._values:
                self._values[name] = str(free_port())
            return self._values[name]

        return PLACEHOLDER.sub(value, text)

    def command(self, words: list[str]) -> list[str]:
        """`words` filled in; @wheel@ and @built@ become the command of that uWSGI."""
        filled: list[str] = []
        for word in words:
            filled += binary.find(word.strip("@")).command if word in ("@wheel@", "@built@") else [self.fill(word)]
        return filled

    def _environment(self) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith(OPTION_VARIABLES)}
        own = {"RUN": str(self.run), "URLS": self.spec.urls, "WAY": self.spec.way}
        folders = [os.path.dirname(programs.require(need["program"])) for need in self.spec.needs if "program" in need]
        path = os.pathsep.join([*folders, *os.get_exec_path()])
        return {
            **kept,
            "PATH": path,
            "PYTHONPATH": str(ROOT),
            **{f"BENCH_{name}": value for name, value in own.items()},
        }


def accepts(path: str) -> bool:
    """Whether a process listens on that UNIX socket: uvicorn's first process makes the file, its workers listen."""
    with socket.socket(socket.AF_UNIX) as connection:
        try:
            connection.connect(path)
        except OSError:
            return False
    return True
