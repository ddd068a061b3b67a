"""Clients from outside; they know nothing of servers: `bystanders` ping, `download` reads slowly."""

from .bystanders import Bystander, Bystanders, Pong, ping
from .download import SlowReader

__all__ = ["Bystander", "Bystanders", "Pong", "SlowReader", "ping"]
