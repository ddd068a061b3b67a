"""Clients of a front, which know nothing of servers: `Probes` ping, `SlowReader` downloads, `fetch` requests once."""

from .http import Answer, fetch, fetch_raw
from .probe import Pong, Probe, Probes, ping
from .slow_reader import SlowReader

__all__ = ["Answer", "Pong", "Probe", "Probes", "SlowReader", "fetch", "fetch_raw", "ping"]
