"""A side whose stage is started here, with clients and buttons. One thread of its own does what the buttons say."""

import queue
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from http.client import HTTPException
from typing import Any, cast

from offload_lab.clients.session import Session
from offload_lab.errors import LabError, ending
from offload_lab.process.background import Background
from offload_lab.stages.stage import Stage
from offload_lab.stages.step import Live, Step, Variant
from offload_lab.uwsgi.binary import Engine
from offload_lab.uwsgi.server import Uwsgi

from . import actions
from .client import Client, Kind
from .clients import Clients
from .counters import Counters
from .ini_lines import difference
from .losses import Losses
from .reader import KernelLists
from .side import Side
from .watcher import BackendPlace, Watcher

Json = dict[str, Any]


class StageSide(Side):
    """`other`: the variant beside it, for the lines that differ."""

    def __init__(
        self,
        step: Step,
        variant: Variant,
        other: Variant | None,
        lists: KernelLists,
        engine: Engine,
        tell: Callable[[str], None],
    ) -> None:
        super().__init__(f"{step.number} {variant.name}", lists, tell)
        assert step.live is not None
        self.step, self.variant, self.live = step, variant, step.live
        self.stage: Stage | None = None
        self.hub: Clients | None = None
        self.backends: list[Uwsgi] = []  # that the front offloads to
        self.replaced: set[int] = set()  # the workers that the last reload replaces, by process id
        self.watcher = None
        self.problem, self.message, self.done, self.did = "starting …", "", 0, ""
        self.cookie, self.logged_in = "", True
        self.lines = difference(step.folder / variant.inis[-1], step.folder / other.inis[-1] if other else None)
        self._lists, self._engine = lists, engine
        self._probes_sent: dict[int, Json] = {}
        self._jobs: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._exits = ExitStack()
        self._thread = Background(f"the buttons of {self.title}", self._work, lambda: self._jobs.put(None))
        self._jobs.put(self._start)
        self._thread.__enter__()

    def about(self) -> Json:
        lacking = {action.name: action.missing(self) for action in actions.ACTIONS}
        return {"title": self.title, "says": self.variant.says, "lines": self.lines, "actions": lacking}

    def submit(self, number: int, action: str) -> None:
        self._jobs.put(partial(self._act, number, action))

    def pause(self, paused: bool) -> None:
        if self.hub:
            self.hub.probing = not paused

    def close(self) -> None:
        self._thread.end()
        self._exits.close()

    # --- in the thread of the buttons

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            job()

    def _start(self) -> None:
        try:
            with ExitStack() as exits:
                self.stage = exits.enter_context(Stage(self.step, self.variant.name, engine=self._engine))
                self.cookie = self._log_in(self.stage) if needs_login(self.live) else ""
                paths = cast(dict[Kind, str], self.live.paths)
                self.hub = exits.enter_context(Clients(self.stage.port, paths, self._cookie()))
                self.backends = actions.backends_of(self.stage)
                self._watch(self.stage)
                self._exits = exits.pop_all()
            self.problem = ""
        except (LabError, OSError, HTTPException) as error:
            self.stage = self.hub = self.watcher = None
            self.problem = f"it did not start: {error}"
            self.tell_once(self.problem)

    def _watch(self, stage: Stage) -> None:
        places = [
            BackendPlace(process.name, process.stats, partial(master_of, process)) for process in stage.processes[:-1]
        ]
        self.watcher = Watcher(stage.front.name, stage.front.stats, self._lists, places, ours=True)

    def _log_in(self, stage: Stage) -> str:
        session = Session(stage.port)
        session.log_in()
        return session.cookie

    def _cookie(self) -> str:
        return self.cookie if self.logged_in else ""

    def _act(self, number: int, action: str) -> None:
        try:
            found = actions.find(action)
            if self.stage is None and action != "restart":
                self.message = f"{found.label}: nothing runs; restart it"
            else:
                self.message = found.missing(self) or found.do(self)
        except (LabError, OSError) as error:
            self.message = f"{action}: {error}"
        self.done, self.did = number, action

    def restart(self) -> None:
        self.problem = "starting again …"
        self.watcher = None
        self._exits.close()
        self.counters, self.losses = Counters(), Losses()
        self._probes_sent.clear()
        self.replaced = set()
        self._start()

    def set_logged_in(self, logged_in: bool) -> None:
        self.logged_in = logged_in
        if self.hub:
            self.hub.cookie = self._cookie()

    # --- for the page

    def clients(self) -> Mapping[int, Client]:
        return dict(self.hub.by_port) if self.hub else {}

    def all_clients(self) -> Sequence[Client]:
        return [client for client in list(self.hub.all) if not client.bystander] if self.hub else []

    def why_unseen(self, error: Exception) -> str:
        """Says that the front has ended, where it has, and is short where it most likely reloads."""
        if self.stage is None:
            return super().why_unseen(error)
        front = self.stage.front
        if (status := front.status()) is not None:
            return f"the front {front.name} {ending(status)}; press Restart"
        return (
            f"master {front.pid} runs, but its stats server does not answer, as while it reloads;"
            " press Restart if that lasts"
        )

    def told_by_clients(self, start: float) -> Json:
        every = list(self.hub.all) if self.hub else []
        bystanders = [client for client in every if client.bystander]
        waiting = [client for client in bystanders if client.ended is None]
        answered = next((client for client in reversed(bystanders) if client.ended is not None and client.status), None)
        now = time.monotonic()
        waiting_s = now - waiting[0].began if waiting else 0.0
        wait_s = waiting_s if waiting_s > 0.2 else None
        if wait_s is None and answered and answered.ended:
            wait_s = answered.ended - answered.began
        return {
            "probes": self._news_of(bystanders, start),
            "wait_ms": None if wait_s is None else round(wait_s * 1000, 1),
            "waiting_s": round(waiting_s, 1),
            "clients": summary(self.all_clients(), len(self.hub.later) if self.hub else 0),
            "message": self.message,
            "done": self.done,
            "did": self.did,
            "logged_in": self.logged_in,
            "reading": self.hub.reading if self.hub else True,
        }

    def _news_of(self, bystanders: list[Client], start: float) -> list[Json]:
        """Those that are new, and those that were answered since the last frame."""
        news = []
        for client in bystanders[-200:]:
            row = {
                "number": client.number,
                "sent": round(client.began - start, 3),
                "answered": None if client.ended is None else round(client.ended - start, 3),
                "status": client.status,
            }
            if self._probes_sent.get(client.number) != row:
                self._probes_sent[client.number] = row
                news.append(row)
        return news


def needs_login(live: Live) -> bool:
    return "stream" in live.paths or "websocket" in live.paths


def master_of(process: Uwsgi) -> int:
    return process.pid if process.status() is None else 0


def summary(clients: Sequence[Client], later: int) -> Json:
    """What our clients say: how many wait, are open, were refused or ended, and what the last one got."""
    last = next((client for client in reversed(clients) if client.status or client.error), None)
    got = f"{last.name}: {last.error or last.status}" if last else ""
    return {
        "later": later,
        "waiting": sum(client.waits for client in clients),
        "open": sum(client.ended is None and client.status in (101, 200) for client in clients),
        "refused": sum(client.status >= 300 for client in clients),
        "ended": sum(client.ended is not None and client.status in (101, 200) for client in clients),
        "failed": sum(client.ended is not None and not client.status and not client.left for client in clients),
        "last": got,
    }
