"""Clients from outside; they know nothing of servers: `bystanders` ping, `download` reads slowly, `http` asks once."""

from .http import Answer, fetch, fetch_raw
from .probe import Bystander, Bystanders, Pong, ping
from .slow_reader import SlowReader

__all__ = ["Answer", "Bystander", "Bystanders", "Pong", "SlowReader", "fetch", "fetch_raw", "ping"]
