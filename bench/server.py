"""A contestant that runs for one cell; leaving the block leaves nothing of it behind."""

import os
import pwd
import re
import resource
import shutil
import sys
from contextlib import ExitStack
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

from . import tree
from .contestants import Contestant
from .plan import Cell
from .site.feeds import FILE

CHANGING = ("django.sqlite3", "secret-key")  # each contestant has a copy
READY_S = 30.0
GRACE_S = 1.0  # some wait for their streams to end
ROOM = 100  # for who is no stream
WORD = re.compile(r"@([a-z]+\d?)@")
FOREIGN = (
    "UWSGI_",
    "GUNICORN_",
    "UVICORN_",
    "GRANIAN_",
    "WEB_CONCURRENCY",
)  # variables that a server takes for options


class Server:
    """`prepared` is the folder that bench.site.prepare filled.

    Raises: ProcessDiedError or NotReadyError on entry where the contestant does not come up.
    """

    def __init__(self, contestant: Contestant, cell: Cell, prepared: Path) -> None:
        self.contestant, self._cell, self._prepared = contestant, cell, prepared
        self.processes: list[Process] = []
        self.last_words = ""  # the ends of the logs, once it is stopped

    def __enter__(self) -> Self:
        with ExitStack() as exits:
            self.run = short_private_folder()
            exits.callback(shutil.rmtree, self.run, ignore_errors=True)
            self._take_what_is_prepared()
            self._words = self._first_words()
            self.port = int(self._words["port"])
            for name in self.contestant.files:
                (self.run / name).write_text(self.fill((self.contestant.folder / name).read_text()))
            deadline = Deadline(READY_S)
            for told in self.contestant.process:
                process = Process(
                    told["name"],
                    self.command(told["command"]),
                    self.run / f"{told['name']}.log",
                    scratch=self.run,
                    env=self._environment(),
                    grace_s=GRACE_S,
                )
                self.processes.append(exits.enter_context(process))
                if "listens" in told:
                    process.wait_until(Path(self.fill(told["listens"])).exists, deadline)
            self.processes[-1].wait_until(self.answers, deadline)
            self._exits = exits.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self.last_words = "\n".join(f"--- {process.name}\n{process.log_tail(10)}" for process in self.processes)
        for process in self.processes:
            process.ask_to_stop()  # all at once
        self._exits.close()

    def answers(self, within_s: float = 5.0) -> bool:
        try:
            return ping(self.port, within_s).status == 200
        except OSError:
            return False

    def cpu_s(self) -> dict[str, float]:
        """Of each process with all that it started, so far."""
        return {process.name: tree.total(tree.cpu_s, process.pid) for process in self.processes}

    def own_kib(self) -> dict[str, float]:
        return {process.name: tree.total(tree.own_kib, process.pid) for process in self.processes}

    def ended(self) -> list[str]:
        """The names of the processes that did not live to see this."""
        return [process.name for process in self.processes if process.status() is not None]

    def _take_what_is_prepared(self) -> None:
        for name in CHANGING:
            shutil.copy(self._prepared / name, self.run)
        os.link(self._prepared / FILE, self.run / FILE)

    def _first_words(self) -> dict[str, str]:
        return {
            "run": str(self.run),
            "here": str(self.contestant.folder),
            "bench": str(Path(__file__).parent),
            "python": sys.executable,
            "user": pwd.getpwuid(os.geteuid()).pw_name,
            "streams": str(self._cell.streams + ROOM),
            "threads": str(self._cell.threads),
            "workers": str(self._cell.workers),
            "backends": str(self._cell.backends),
            "descriptors": str(resource.getrlimit(resource.RLIMIT_NOFILE)[0]),
            "port": str(free_port()),
        }

    def fill(self, text: str) -> str:
        """`text` with each @word@ replaced; @port1@ and so on are further free ports."""

        def value(match: re.Match[str]) -> str:
            word = match[1]
            if word.startswith("port") and word not in self._words:
                self._words[word] = str(free_port())
            return self._words[word]

        return WORD.sub(value, text)

    def command(self, words: list[str]) -> list[str]:
        """`words` filled in; @wheel@ and @built@ are the words that start that uWSGI."""
        filled: list[str] = []
        for word in words:
            filled += binary.find(word.strip("@")).command if word in ("@wheel@", "@built@") else [self.fill(word)]
        return filled

    def _environment(self) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith(FOREIGN)}
        own = {"RUN": str(self.run), "URLS": self.contestant.urls, "WAY": self.contestant.way}
        folders = [
            os.path.dirname(programs.require(need["program"])) for need in self.contestant.needs if "program" in need
        ]
        path = os.pathsep.join([*folders, *os.get_exec_path()])
        return {
            **kept,
            "PATH": path,
            "PYTHONPATH": str(ROOT),
            **{f"BENCH_{name}": value for name, value in own.items()},
        }
