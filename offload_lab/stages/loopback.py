"""The files of a step that one deploys, as they are tried here: copies in the run folder, with this machine's paths.

Such a step says in step.toml, under ``[loopback]``, all that its copies differ in::

    replace = {"/run/shop" = "{run}"}    # text and its replacement, in each file
    environment = "shop.env"             # what the processes are given, itself replaced
    options = ["--http-socket", "127.0.0.1:{port}"]  # further words of the front's command line
    prepare = ["{python} manage.py migrate"]         # commands, before the front is started

Known are ``{run}``, the step's ``{folder}``, ``{python}``, ``{port}`` of the front, ``{user}`` and ``{group}`` of this
process, and ``{secret}``, made anew each time.
"""

import grp
import os
import pwd
import re
import secrets
import shlex
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

from offload_lab.errors import StartError
from offload_lab.timeouts import scaled

PREPARE_S = 120.0


@dataclass(frozen=True)
class Loopback:
    """What step.toml says under ``[loopback]``."""

    replace: tuple[tuple[str, str], ...]
    environment: str = ""
    options: tuple[str, ...] = ()
    prepare: tuple[str, ...] = ()


@dataclass(frozen=True)
class Copies:
    """The copies of the files in `folder` for one stage, in `run`."""

    settings: Loopback
    folder: Path
    run: Path
    port: int
    _secret: str = field(default_factory=secrets.token_urlsafe)

    def fill(self, text: str) -> str:
        return text.format(
            run=self.run,
            folder=self.folder,
            python=sys.executable,
            port=self.port,
            user=pwd.getpwuid(os.getuid()).pw_name,
            group=grp.getgrgid(os.getgid()).gr_name,
            secret=self._secret,
        )

    def replaced(self, text: str) -> str:
        """`text` with all replacements made in one pass, the longest first."""
        pairs = {old: self.fill(new) for old, new in self.settings.replace}
        longest_first = sorted(pairs, key=len, reverse=True)
        return re.sub("|".join(map(re.escape, longest_first)), lambda match: pairs[match[0]], text)

    def copy(self, name: str) -> Path:
        """The copy of the file `name`; the file itself where it belongs to another step."""
        source = self.folder / name
        if self.folder.resolve() not in source.resolve().parents:
            return source
        target = place_of_copy(self.folder, name, self.run)
        target.parent.mkdir(exist_ok=True)
        target.write_text(self.replaced(source.read_text()))
        return target

    def environment(self) -> dict[str, str]:
        """Read as systemd reads an EnvironmentFile, without its quoting."""
        if not self.settings.environment:
            return {}
        lines = self.replaced((self.folder / self.settings.environment).read_text()).splitlines()
        return dict(line.split("=", 1) for line in lines if line and line[0] != "#")

    def options(self) -> list[str]:
        return [self.fill(word) for word in self.settings.options]

    def prepare(self) -> None:
        """Raises: StartError with the end of what a command printed."""
        for line in self.settings.prepare:
            command = [self.fill(word) for word in shlex.split(line)]  # a path may have spaces
            done = subprocess.run(
                command,
                env={**os.environ, **self.environment()},
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                timeout=scaled(PREPARE_S),
            )
            if done.returncode:
                raise StartError(f"{shlex.join(command)} ended with {done.returncode}:\n{done.stdout[-2000:]}")


def place_of_copy(folder: Path, name: str, run: Path) -> Path:
    return run / folder.name / name
