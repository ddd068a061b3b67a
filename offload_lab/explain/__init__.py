"""Looks at a running stage from outside and says where each connection is, and why.

Nothing is started and nothing is changed: stats servers, /proc and the kernel's list of connections are read. `look`
gathers facts, `describe` makes sentences of them and needs no process.
"""

from .describe import describe
from .facts import Connection, Facts, Request, Server, Wait, Worker
from .look import find_run, look

__all__ = ["Connection", "Facts", "Request", "Server", "Wait", "Worker", "describe", "find_run", "look"]
