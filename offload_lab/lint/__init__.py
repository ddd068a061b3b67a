"""Names what is wrong with a uWSGI configuration: `reader` reads it as uWSGI does, `rules` judge it.

Needs nothing but Python's standard library: `offload-lint` installs alone.
"""

from .config import Config, Option, UnusableConfig
from .judge import lint, lint_sides
from .reader import parse
from .rules import RULES, Finding, Rule

__all__ = ["RULES", "Config", "Finding", "Option", "Rule", "UnusableConfig", "lint", "lint_sides", "parse"]
