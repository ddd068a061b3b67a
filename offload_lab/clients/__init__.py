"""Clients from outside; they know nothing of servers: `bystanders` ping, `download` reads slowly, `http` asks once."""

from .http import Answer, fetch, fetch_raw
from .probe import Pong, Probe, Probes, ping
from .slow_reader import SlowReader

__all__ = ["Answer", "Pong", "Probe", "Probes", "SlowReader", "fetch", "fetch_raw", "ping"]
