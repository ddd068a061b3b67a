"""The configuration of a running uWSGI, from its command line and environment: read with the linter's reader."""

import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from itertools import pairwise
from pathlib import Path

import psutil

from offload_lab.uwsgi.config.environment import FILES
from offload_lab.uwsgi.config.model import Config, ConfigError
from offload_lab.uwsgi.config.reader import parse

COMMAND_LINE = "<command line>.ini"
FORMATS = (".ini", ".yaml", ".yml", ".json", ".js", ".xml")
FILE_FLAGS = {"-x", "-y", "-j"}  # name files in other formats
TOLERANCE_S = 1  # uWSGI reports the time of a spawn in whole seconds


def configuration(pid: int, spawned: float) -> Config | None:
    """Of the master `pid`, whose first worker was spawned at `spawned`; None where it cannot be known: the process may
    not be read, its command line names no configuration, or a file was changed since."""
    try:
        process = psutil.Process(pid)
        arguments, cwd, environ = process.cmdline(), process.cwd(), process.environ()
    except (psutil.Error, OSError):
        return None
    return from_command_line(arguments, cwd, environ, spawned)


def from_command_line(arguments: Sequence[str], cwd: str, environ: Mapping[str, str], spawned: float) -> Config | None:
    lines = options(arguments, cwd)
    if not lines or FILE_FLAGS & set(arguments) or FILES & set(environ):
        return None
    text = "\n".join(["[uwsgi]", *lines])

    def load(path: str) -> str:
        return text if path == COMMAND_LINE else Path(path).read_text(errors="replace")

    try:
        config = parse(COMMAND_LINE, load, environ)
    except ConfigError:
        return None
    unread = any(problem.kind == "unread-import" for problem in config.problems)
    return None if unread or changed_since(config, spawned) else config


def options(arguments: Sequence[str], cwd: str) -> list[str]:
    """Lines of an INI that say the same. What is no option and no file is an option's value or the program."""
    lines = []
    for word, after in pairwise([*arguments, ""]):
        name, is_here, value = word.removeprefix("--").partition("=")
        if word.startswith("--"):
            value = value if is_here else "true" if after.startswith("-") else after
            lines.append(f"{name} = {os.path.join(cwd, value) if name == 'ini' else value}")
        elif is_file(word) and not any(line.endswith(word) for line in lines[-1:]):
            lines.append(f"include = {os.path.join(cwd, word)}")
    return lines


def is_file(word: str) -> bool:
    name, _, section = word.rpartition(":")
    return word.endswith(FORMATS) or (name.endswith(FORMATS) and "/" not in section)


def changed_since(config: Config, spawned: float) -> bool:
    for path in {option.file for option in config.options} - {COMMAND_LINE, "environment"}:
        with suppress(OSError):
            if os.stat(path).st_mtime > spawned + TOLERANCE_S:
                return True
    return False
