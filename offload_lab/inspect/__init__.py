"""Looks at a running uWSGI from outside and says where each connection is, and why.

Nothing is started and nothing is changed: stats servers, /proc and the kernel's list of connections are read. `look`
gathers facts; `describe`, `as_json` and `metrics` need no process.
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
