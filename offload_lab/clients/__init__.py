"""Clients from outside; they know nothing of servers: `bystanders` ping, `download` reads slowly, `http` asks once."""

from .bystanders import Bystander, Bystanders, Pong, ping
from .download import SlowReader
from .http import Answer, fetch, fetch_raw

__all__ = ["Answer", "Bystander", "Bystanders", "Pong", "SlowReader", "fetch", "fetch_raw", "ping"]
