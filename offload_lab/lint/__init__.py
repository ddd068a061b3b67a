"""Find what is wrong with a uWSGI configuration: `uwsgi.config` reads it as uWSGI does, `rules` judge it.

Needs nothing but Python's standard library: `offload-lint` installs alone.
"""

from offload_lab.uwsgi.config.model import Config, ConfigError, Option
from offload_lab.uwsgi.config.reader import parse

from .judge import lint, lint_sides
from .rules import RULES, Finding, Rule

__all__ = ["RULES", "Config", "ConfigError", "Finding", "Option", "Rule", "lint", "lint_sides", "parse"]
