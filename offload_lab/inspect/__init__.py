"""Where each connection of a running uWSGI is, and why, seen from outside.

Nothing is started or changed: `take_snapshot` reads stats servers, /proc and the kernel's table of connections. What
`describe`, `as_json` and `metrics` make of a snapshot needs no process.
"""

from offload_lab.uwsgi.stats import StatsError

from .as_json import as_json
from .describe import describe
from .metrics import metrics
from .observe import take_snapshot, take_snapshot_at
from .runs import find_run, only_run, runs
from .snapshot import Connection, Listener, Request, Server, Snapshot, Wait, Worker

__all__ = [
    "Connection",
    "Listener",
    "Request",
    "Server",
    "Snapshot",
    "StatsError",
    "Wait",
    "Worker",
    "as_json",
    "describe",
    "find_run",
    "metrics",
    "only_run",
    "runs",
    "take_snapshot",
    "take_snapshot_at",
]
