"""Names what is wrong with a uWSGI configuration for offloading: `ini` reads it, `rules` judge it."""

from .config import Config, Option, UnusableConfig
from .ini import parse
from .rules import RULES, Finding, Rule, lint

__all__ = ["RULES", "Config", "Finding", "Option", "Rule", "UnusableConfig", "lint", "parse"]
