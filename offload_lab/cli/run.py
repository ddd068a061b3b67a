"""./lab run: one variant in the foreground, for a person with a second terminal."""

import itertools
import os
import threading
import time
from typing import TextIO

import click
from rich.text import Text

from .. import engine, manifest
from ..errors import ProcessDied
from ..exercises.folder import shown
from ..stage import Stage
from ..text import printable
from .console import out

COLOURS = ("cyan", "magenta", "yellow", "green", "blue")
DEFAULT_PORT = 9090  # as in the INI files


@click.command()
@click.argument("step")
@click.argument("variant", required=False)
@click.option(
    "--port", type=click.IntRange(1, 65535), default=DEFAULT_PORT, show_default=True, help="The front's port."
)
@click.option("--engine", "engine_name", envvar="LAB_UWSGI", help="wheel (default), built, or a path.")
def run(step: str, variant: str | None, port: int, engine_name: str | None) -> None:
    """Run STEP's VARIANT (its last, if you name none) until Ctrl-C."""
    found = manifest.find(step)
    chosen = found.variant(variant) if variant else found.variants[-1]
    uwsgi = engine.find(engine_name)
    uwsgi.check(chosen.needs)
    with Stage(found, chosen.name, port=port, engine=uwsgi) as stage:
        out.print(f"[bold]{found.name} {chosen.name}[/]: {chosen.says}")
        out.print(
            f"{stage.url}   config: {', '.join(shown(found.folder / ini) for ini in chosen.inis)}", soft_wrap=True
        )
        if stage.proxy:
            out.print(f"{stage.proxy_url}   through nginx, config: {shown(stage.proxy.conf)}", soft_wrap=True)
        out.print(f"sockets and logs: {stage.run}", soft_wrap=True)
        if found.try_it:
            out.print("\nin a second terminal:")
        for line in found.try_it:
            out.print(
                f"  {line.format(url=stage.url, proxy_url=stage.proxy_url, run=stage.run)}",
                markup=False,
                soft_wrap=True,
            )
        follow(stage)


def follow(stage: Stage) -> None:
    """Print every process's log as it grows. Raises ProcessDied when one ends by itself."""
    width = max(len(process.name) for process in stage.everything)
    for process, colour in zip(stage.everything, itertools.cycle(COLOURS), strict=False):
        log = process.log.open(errors="replace", newline="\n")
        log.seek(0, os.SEEK_END)  # what was said while starting would stand in the error, had there been one
        prefix = Text(f"{process.name:<{width}} │ ", style=colour)
        threading.Thread(target=tail, args=(log, prefix), daemon=True).start()
    out.print("\nCtrl-C ends it.\n", style="dim")
    while all(process.status() is None for process in stage.everything):
        time.sleep(0.1)
    dead = next(process for process in stage.everything if process.status() is not None)
    raise ProcessDied(dead.name, dead.status(), dead.log_tail())


def tail(log: TextIO, prefix: Text) -> None:
    while True:
        for line in log:
            out.print(prefix + printable(line.rstrip("\n")), soft_wrap=True)
        time.sleep(0.1)
