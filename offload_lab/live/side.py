"""One side of the page: a front that is watched. What goes wrong is shown there, and does not end the view."""

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any

import psutil

from offload_lab.errors import LabError
from offload_lab.uwsgi.stats import read_stats

from .actions import ACTIONS
from .client import Client
from .counters import Counters
from .frame import side_frame
from .losses import Losses, with_alarm
from .reader import KernelLists
from .watcher import Look, Watcher

Json = dict[str, Any]
NOT_OURS = {action.name: "this uWSGI is only watched" for action in ACTIONS}
TOLD_AFTER = 12  # looks: while a front reloads, its stats server is away for seconds
NO_CLIENTS: Mapping[int, Client] = {}


class Side:
    """A front that runs already, by its stats server: it is watched and nothing is done to it.

    `tell` gets what belongs in the terminal, too.
    """

    def __init__(self, title: str, lists: KernelLists, tell: Callable[[str], None]) -> None:
        self.title = title
        self._tell, self._told, self._unseen = tell, "", 0
        self.problem = ""  # why nothing is seen just now; empty while something is
        self.counters, self.losses = Counters(), Losses()
        self.look: Look | None = None
        self.watcher: Watcher | None = Watcher(title, lambda: read_stats(title), lists)

    def about(self) -> Json:
        """What does not change."""
        return {"title": self.title, "says": "watched, not started here", "lines": [], "actions": NOT_OURS}

    def frame(self, start: float) -> Json:
        """This moment; `start` is that of the view, on `time.monotonic`'s clock."""
        now = time.monotonic()
        lost = [client for client in self.all_clients() if client.lost]
        frame = {**self.seen(now), **self.told_by_clients(start), "lost": self.losses.news(lost)}
        return with_alarm(frame, lost, now)

    def seen(self, now: float) -> Json:
        """What the processes show."""
        if self.watcher is None:
            return self.nothing(self.problem or "nothing runs")
        try:
            look = self.watcher.look()
        except (OSError, LabError, psutil.Error) as error:  # a process may end while it is looked at
            self._unseen += 1
            why = self.problem or self.why_unseen(error)
            if not self.problem and self._unseen >= TOLD_AFTER:
                self.tell_once(why)
            nothing = self.nothing(why)
            return {**nothing, **self.seen_without_front(now), "text": nothing["text"], "state": nothing["state"]}
        self._unseen, self._told = 0, ""
        self.look = look
        self.counters.update(look, now)
        self.losses.see(look)
        return side_frame(look, self.counters, self.clients(), now)

    def seen_without_front(self, now: float) -> Json:
        """What goes on while the front is away: its backends, and the sockets that were passed to them."""
        assert self.watcher is not None
        with suppress(OSError, LabError, psutil.Error):
            if look := self.watcher.look_without_front():
                self.losses.see(look)
                return side_frame(look, self.counters, self.clients(), now)
        return {}

    def why_unseen(self, error: Exception) -> str:
        return f"it cannot be watched: {error}"

    def tell_once(self, what: str) -> None:
        if what != self._told:
            self._told = what
            self._tell(f"{self.title}: {what}")

    def nothing(self, why: str) -> Json:
        text = why[:1].upper() + why[1:]
        return {
            "text": text if text.endswith(("…", ".")) else f"{text}.",
            "state": "bad",
            "queue": {"n": 0, "left": 0, "tokens": [], "room": 0},
            "workers": [],
            "backends": [],
            "held": 0,
            "offloaded": 0,
            "worker_bytes": self.counters.by_workers,
            "thread_bytes": self.counters.by_threads,
        }

    def clients(self) -> Mapping[int, Client]:
        """By the port of their end."""
        return NO_CLIENTS

    def all_clients(self) -> Sequence[Client]:
        """Without bystanders."""
        return ()

    def told_by_clients(self, start: float) -> Json:
        """What only our own clients know."""
        return {"probes": [], "wait_ms": None, "waiting_s": 0.0, "clients": {}, "message": "", "done": 0, "did": ""}

    def submit(self, number: int, action: str) -> None:
        """Nothing is done to what was not started here."""

    def pause(self, paused: bool) -> None:
        """Send no bystanders while nobody looks: there are none."""

    def close(self) -> None:
        """Nothing was started."""
