"""Looks at a running uWSGI from outside and says where each connection is, and why.

Nothing is started and nothing is changed: stats servers, /proc and the kernel's list of connections are read. `look`
gathers facts; `describe`, `as_json` and `metrics` need no process.
"""

from offload_lab.uwsgi.stats import StatsError

from .as_json import as_json
from .describe import describe
from .metrics import metrics
from .observe import look, look_at_address
from .runs import find_run, only_run, runs
from .snapshot import Connection, Facts, Listener, Request, Server, Wait, Worker

__all__ = [
    "Connection",
    "Facts",
    "Listener",
    "Request",
    "Server",
    "StatsError",
    "Wait",
    "Worker",
    "as_json",
    "describe",
    "find_run",
    "look",
    "look_at_address",
    "metrics",
    "only_run",
    "runs",
]
