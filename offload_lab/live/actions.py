"""The buttons: each acts on the clients or on a process of its own side's stage, and says what it did."""

import os
import signal
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from offload_lab.errors import UnknownNameError
from offload_lab.process.deadlines import Deadline
from offload_lab.stages.stage import Stage
from offload_lab.uwsgi.server import Uwsgi

from .client import Kind

if TYPE_CHECKING:
    from .stage_side import StageSide

MOST_CLIENTS = 2000
READY_S = 30.0


@dataclass(frozen=True)
class Action:
    """`key`: on the keyboard; `icon`: in the timeline. `missing` says why a side lacks it, empty where it does not."""

    name: str
    label: str
    key: str
    icon: str
    do: Callable[["StageSide"], str]
    missing: Callable[["StageSide"], str] = lambda side: ""


def opens(kind: Kind, count: int = 1) -> Callable[["StageSide"], str]:
    def do(side: "StageSide") -> str:
        assert side.hub is not None
        held = sum(client.ended is None for client in list(side.hub.all)) + len(side.hub.later)
        if held + count > MOST_CLIENTS:
            return f"{held} clients are there already, of at most {MOST_CLIENTS}"
        side.hub.open(kind, count)
        return f"{count} more: {kind}" if count > 1 else f"opened: {kind}"

    return do


def has(kind: Kind) -> Callable[["StageSide"], str]:
    return lambda side: "" if kind in side.live.paths or kind == "ping" else f"this step has no {kind}"


def backends_of(stage: Stage) -> list[Uwsgi]:
    """Those whose sockets the front's INI names. Where it names none, the app does: all that speak uWSGI's protocol."""
    text = stage.front.ini.read_text()
    listeners = {process: process.stats()["sockets"] for process in stage.processes[:-1]}
    named = [
        process for process, rows in listeners.items() if any(f"/{Path(row['name']).name}" in text for row in rows)
    ]
    return named or [process for process, rows in listeners.items() if any(row["proto"] == "uwsgi" for row in rows)]


def no_backend(side: "StageSide") -> str:
    return "" if len(side.variant.inis) > 1 else "this variant has no backend"


def needs_log_in(side: "StageSide") -> str:
    return "" if {"stream", "websocket"} & set(side.live.paths) else "this step has no login"


def toggle_login(side: "StageSide") -> str:
    side.set_logged_in(not side.logged_in)
    return "new clients are logged in" if side.logged_in else "new clients are anonymous"


def leave(side: "StageSide") -> str:
    assert side.hub is not None
    side.hub.leave()
    return "all clients have closed, without a word"


def toggle_reading(side: "StageSide") -> str:
    assert side.hub is not None
    reading = not side.hub.reading
    side.hub.set_reading(reading)
    return "the clients read again" if reading else "the clients have stopped reading"


def kill_worker(side: "StageSide") -> str:
    assert side.stage is not None
    return kill_worker_of(side.stage.front)


def kill_worker_of(server: Uwsgi) -> str:
    """SIGKILL to its first worker, a child of the master that was started here."""
    pid = next((worker.pid for worker in server.workers() if worker.pid in server.pids()), None)
    if pid is None:
        return f"{server.name} has no worker just now"
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
    return f"killed: worker {pid} of {server.name}"


def kill_backend(side: "StageSide") -> str:
    alive = [process for process in side.backends if process.status() is None]
    if not alive:
        return "no backend runs"
    serving = {backend.name: backend.under_way for backend in side.look.backends} if side.look else {}
    return kill_worker_of(max(alive, key=lambda process: serving.get(process.name, 0)))


def toggle_backend(side: "StageSide") -> str:
    """Stop every backend that the front offloads to, or start them again."""
    chosen = side.backends
    names = ", ".join(process.name for process in chosen)
    alive = [process for process in chosen if process.status() is None]
    for process in alive:
        process.ask_to_stop()
    for process in chosen:
        process.stop()
    if alive:
        return f"stopped: {names}"
    for process in chosen:
        process.start()
        process.wait_ready(Deadline(READY_S))
    return f"started: {names}"


def reload(side: "StageSide") -> str:
    """Not while the last one is under way: a SIGHUP ends the new program until that has its signal handlers."""
    assert side.stage is not None
    front = side.stage.front
    workers = {worker.pid for worker in front.workers() if worker.pid}
    if not workers or workers & side.replaced:
        return f"master {front.pid} still reloads"
    side.replaced = workers
    os.kill(front.pid, signal.SIGHUP)
    return f"SIGHUP to master {front.pid}: it reloads"


def restart(side: "StageSide") -> str:
    side.restart()
    return "started again" if side.stage else side.problem


ACTIONS = (
    Action("download", "Slow download", "d", "↓", opens("download"), has("download")),
    Action("stream", "+1 stream", "1", "+1", opens("stream"), has("stream")),
    Action("stream50", "+50", "5", "+50", opens("stream", 50), has("stream")),
    Action("stream500", "+500", "0", "+500", opens("stream", 500), has("stream")),
    Action("websocket", "WebSocket", "w", "W", opens("websocket"), has("websocket")),
    Action("ping", "Ping", "p", "P", opens("ping")),
    Action("login", "Log out", "g", "⇄", toggle_login, needs_log_in),
    Action("leave", "Leave", "l", "←", leave),
    Action("reading", "Stop reading", "a", "‖", toggle_reading),
    Action("kill_worker", "Kill worker", "k", "✖", kill_worker),
    Action("kill_backend", "Kill backend", "b", "✖", kill_backend, no_backend),
    Action("stop_backend", "Stop backend", "c", "■", toggle_backend, no_backend),
    Action("reload", "Reload", "r", "⟳", reload),
    Action("restart", "Restart", "t", "⟳", restart),
)


def find(name: str) -> Action:
    """Raises: UnknownNameError."""
    known = [action.name for action in ACTIONS]
    if name not in known:
        raise UnknownNameError("action", name, known)
    return ACTIONS[known.index(name)]
