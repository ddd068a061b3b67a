"""The rules, a module for each family; importing them here registers them, in the order in which they are listed."""

from . import access, connections, event_loops, files, headers, hygiene, limits, restarts, sides, values
from .model import LEVELS, RULES, Finding, Level, Match, Rule

__all__ = ["LEVELS", "RULES", "Finding", "Level", "Match", "Rule"]

_MODULES = (connections, headers, files, event_loops, restarts, access, values, limits, sides, hygiene)
