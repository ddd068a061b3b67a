"""./lab run: one variant in the foreground, with what to try in a second terminal."""

import getpass
import itertools
import os
import socket
import threading
import time
from collections.abc import Sequence
from contextlib import ExitStack
from functools import partial
from typing import Any, TextIO

import click
from rich.text import Text

from offload_lab.exercises.workspace import shown
from offload_lab.process.background import Background
from offload_lab.process.deadlines import LOOPBACK
from offload_lab.stages import manifest
from offload_lab.stages.stage import Stage
from offload_lab.stages.step import Step, Variant
from offload_lab.text import printable
from offload_lab.uwsgi import binary
from offload_lab.uwsgi.binary import Engine

from .console import out
from .needs import LOCKS, needs

COLOURS = ("cyan", "magenta", "yellow", "green", "blue")
DEFAULT_PORT = 9090  # as in the INI files


class Port(click.ParamType["int | None"]):
    """A port, or `auto`: None, for one that the kernel chooses."""

    name = "port"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int | None:
        if value == "auto":
            return None
        if not str(value).isdigit():
            self.fail(f"{value!r} is neither a port nor auto", param, ctx)
        return int(click.IntRange(1, 65535).convert(value, param, ctx))


@click.command(epilog="Example: ./lab run 01 offload")
@click.argument("step")
@click.argument("variant", required=False)
@click.option(
    "--port",
    type=Port(),
    metavar="NUMBER|auto",
    default=DEFAULT_PORT,
    show_default=True,
    help="The front's port; auto: a free one, and the tunnel to it.",
)
@click.option("--engine", "engine_name", envvar="LAB_UWSGI", help="wheel (default), built, or a path.")
def run(step: str, variant: str | None, port: int | None, engine_name: str | None) -> None:
    """Run STEP's VARIANT until Ctrl-C and show its logs.

    Without VARIANT: the one that the others are compared with, else the last.
    """
    found = manifest.find(step)
    chosen = found.variant(variant)
    uwsgi = binary.find_able(chosen.needs, engine_name)
    needs(*(name for name in chosen.programs if name in LOCKS))
    explain = f"./lab explain {found.number} {chosen.name}   # where each connection is, and why"
    watch = "./lab live --attach {stats}   # the same on a page"
    serve(found, chosen, port, uwsgi, [explain, *([] if found.live else [watch]), *found.try_it])


def serve(step: Step, variant: Variant, port: int | None, uwsgi: Engine, try_it: Sequence[str]) -> None:
    """Run the variant until Ctrl-C: its addresses, what to try, and its logs."""
    with Stage(step, variant.name, port=port, engine=uwsgi) as stage:
        out.print(f"[bold]{step.name} {variant.name}[/]: {variant.says}")
        out.print(
            f"{stage.url}   config: {', '.join(shown(step.folder / ini) for ini in variant.inis)}", soft_wrap=True
        )
        if stage.proxy:
            out.print(f"{stage.proxy_url}   through nginx, config: {shown(stage.proxy.conf)}", soft_wrap=True)
        out.print(f"sockets and logs: {stage.run}", soft_wrap=True)
        if port is None:
            out.print("\nfrom another machine, through a tunnel:")
            out.print(f"  {tunnel(stage.port)}", markup=False, soft_wrap=True)
        out.print("\nin a second terminal:")
        for line in try_it:
            text = line.format(url=stage.url, proxy_url=stage.proxy_url, run=stage.run, stats=stage.front.stats_socket)
            out.print(f"  {text}", markup=False, soft_wrap=True)
        follow(stage)


def tunnel(port: int) -> str:
    """The command that makes this machine's `port` one of the machine on which it is typed."""
    return f"ssh -N -L {port}:{LOOPBACK}:{port} {getpass.getuser()}@{socket.gethostname()}"


def follow(stage: Stage) -> None:
    """Print every process's log as it grows.

    Raises: ProcessDiedError when one ends by itself.
    """
    width = max(len(process.name) for process in stage.everything)
    ended = threading.Event()
    with ExitStack() as exits:
        tails = []
        for process, colour in zip(stage.everything, itertools.cycle(COLOURS), strict=False):
            log = exits.enter_context(process.log.open(errors="replace", newline="\n"))
            log.seek(0, os.SEEK_END)  # an error while starting has the lines before
            prefix = Text(f"{process.name:<{width}} │ ", style=colour)
            work = partial(tail, log, prefix, ended)
            tails.append(exits.enter_context(Background(f"the log of {process.name}", work, ended.set)))
        out.print("\nCtrl-C ends it.\n", style="dim")
        while True:
            for process, its_tail in zip(stage.everything, tails, strict=True):
                process.check_lives()
                its_tail.check()
            time.sleep(0.1)


def tail(log: TextIO, prefix: Text, ended: threading.Event) -> None:
    """Print the lines of `log` as they come, until it has `ended`."""
    while True:
        last_look = ended.is_set()
        for line in log:
            out.print(prefix + printable(line.rstrip("\n")), soft_wrap=True)
        if last_look:
            return
        ended.wait(0.1)
