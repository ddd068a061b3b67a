"""A step's variant on real processes, as one context manager."""

import os
import shutil
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Self

from offload_lab import programs
from offload_lab.errors import PortInUseError, UnknownNameError
from offload_lab.process.deadlines import LOOPBACK, Deadline
from offload_lab.process.process import Process
from offload_lab.process.server_process import free_port
from offload_lab.uwsgi import binary
from offload_lab.uwsgi.binary import Engine
from offload_lab.uwsgi.server import SOCKET_PATH_LIMIT, Uwsgi
from offload_lab.uwsgi.stats import WorkerStats

from . import manifest
from .loopback import Copies
from .nginx import Nginx
from .step import Step, Variant

READY_S = 30.0  # for each process; Django's first start runs its migrations
LONGEST_NAME = 40  # bytes that a stage may need for a socket's name below its run folder


def short_private_folder() -> Path:
    """A new folder that only this user can enter, with a path short enough for UNIX sockets in it."""
    preferred = tempfile.gettempdir()
    too_long = len(os.fsencode(preferred)) + LONGEST_NAME > SOCKET_PATH_LIMIT
    return Path(tempfile.mkdtemp(prefix="lab-", dir="/tmp" if too_long else preferred))  # noqa: S108 (mkdtemp)


class Stage:
    """``with Stage("NN_name", "variant") as stage:`` starts the variant's processes in order, the front last,
    and yields once it answers. Leaving the block leaves no process, socket or file behind.

    A variant with an nginx.conf has an nginx before its front, as `proxy`, which starts after it.

    `port` is chosen by the kernel unless given. `engine`: by default one that can run the variant. `placeholders` reach
    every INI of the stage, `options` are further words of the front's command line. `ready`: the deadline for all
    processes together, READY_S for each unless given. `grace_s`: between SIGTERM and SIGKILL of a uWSGI, 0 to kill it
    at once.

    Raises: UnknownNameError for a wrong name, MissingDependencyError where a program of the variant is,
        ProcessDiedError, NotReadyError or PortInUseError when a process does not come up.
    """

    def __init__(
        self,
        step: str | Step,
        variant: str,
        *,
        port: int | None = None,
        engine: Engine | None = None,
        placeholders: dict[str, str] | None = None,
        options: Sequence[str] = (),
        ready: Deadline | None = None,
        grace_s: float | None = None,
    ) -> None:
        self.step = manifest.find(step) if isinstance(step, str) else step
        self.variant: Variant = self.step.variant(variant)
        self.processes: list[Uwsgi] = []
        self.proxy: Nginx | None = None
        self.copies: Copies | None = None  # where the step's files are what one deploys
        self._engine = engine or (binary.find_able(self.variant.needs) if self.variant.needs else None)
        self._port, self._placeholders, self._options = port, placeholders, options
        self._ready, self._grace_s = ready, grace_s
        self._exits = ExitStack()

    def __enter__(self) -> Self:
        for last_try in (False, False, True):
            try:
                self._start()
                break
            except PortInUseError:  # another program took the free port a moment later
                if self._port or last_try:
                    raise
        return self

    def _start(self) -> None:
        self.processes.clear()
        folders = [os.path.dirname(programs.require(name, "this variant")) for name in self.variant.programs]
        self.proxy = None
        with ExitStack() as exits:  # undoes what was done if a later line fails
            self.run = short_private_folder()
            exits.callback(shutil.rmtree, self.run, ignore_errors=True)
            self.port = self._port or free_port()
            loopback = self.step.loopback
            copies = Copies(loopback, self.step.folder, self.run, self.port) if loopback else None
            self.copies = copies
            for ini in self.variant.inis:
                is_front = ini == self.variant.inis[-1]
                if copies and is_front:
                    copies.prepare()
                process = Uwsgi(
                    copies.copy(ini) if copies else self.step.folder / ini,
                    self.run,
                    port=self.port if is_front else None,
                    engine=self._engine,
                    placeholders=self._placeholders,
                    options=[*self._options, *(copies.options() if copies else ())] if is_front else (),
                    path=folders,
                    environ=copies.environment() if copies else {},
                    grace_s=self._grace_s,
                )
                exits.enter_context(process)
                self.processes.append(process)
                process.wait_ready(self._ready or Deadline(READY_S))
            if self.variant.proxy:
                conf = copies.copy(self.variant.proxy) if copies else self.step.folder / self.variant.proxy
                self.proxy = exits.enter_context(Nginx(conf, self.run, port=free_port(), front_port=self.port))
                self.proxy.wait_ready(self._ready or Deadline(READY_S))
            for running in self.everything:
                running.check_lives()  # a backend may have ended while the front was started
            self.prepare()
            self._exits = exits.pop_all()

    def prepare(self) -> None:
        """For subclasses: called once the stage answers. If it raises, the stage is stopped."""

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        for process in self.everything:
            process.ask_to_stop()  # all at once: some wait for others to end
        self._exits.close()

    @property
    def front(self) -> Uwsgi:
        return self.processes[-1]

    @property
    def everything(self) -> list[Process]:
        """All processes in the order in which they started."""
        return [*self.processes, *([self.proxy] if self.proxy else [])]

    @property
    def url(self) -> str:
        """The front's address, also where a proxy stands before it."""
        return f"http://{LOOPBACK}:{self.port}"

    @property
    def proxy_url(self) -> str:
        """The proxy's address; the front's where there is none."""
        return self.proxy.url if self.proxy else self.url

    def process(self, name: str) -> Uwsgi:
        """The process of the INI file `name`, without its ending.

        Raises: UnknownNameError with the nearest match.
        """
        by_name = {process.name: process for process in self.processes}
        if name not in by_name:
            raise UnknownNameError("process", name, by_name, owner=f"{self.step.name} {self.variant.name}")
        return by_name[name]

    def workers(self) -> list[WorkerStats]:
        """The front's workers."""
        return self.front.workers()

    def logs(self) -> str:
        """The last lines of every process's log."""
        return "\n".join(f"--- {process.name}\n{process.log_tail(40)}" for process in self.everything)
