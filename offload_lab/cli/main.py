"""The command line: its groups of commands, and how an error becomes a sentence and an exit status."""

import sys
from io import TextIOWrapper

import click

from offload_lab.errors import LabError, UnknownNameError

from .adopt import adopt
from .bench import bench
from .classroom import class_board
from .console import WIDEST, err
from .demo import demo
from .dev import dev
from .doctor import doctor
from .exercises import check, reset, start, watch
from .explain import explain
from .hints import hint, show_progress, solution
from .join import join
from .lint import lint
from .listing import list_steps
from .live import live
from .needs import install
from .publish import book, slides
from .run import run
from .tools import engine, notebook, test
from .workshop import pack, timetable

INTERRUPTED = 130  # 128 + SIGINT, as shells have it


class GroupedCommands(click.Group):
    """A group whose help lists the commands by purpose, and that answers an unknown one with the nearest."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.commands)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        for title, commands in GROUPS.items():
            with formatter.section(title):
                formatter.write_dl([(str(command.name), command.get_short_help_str(limit=200)) for command in commands])

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Raises: UnknownNameError for an unknown command."""
        known = self.list_commands(ctx)
        if args and not args[0].startswith("-") and args[0] not in known:
            raise UnknownNameError("command", args[0], known)
        return super().resolve_command(ctx, args)


@click.group(
    cls=GroupedCommands,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": WIDEST},
)
@click.version_option(package_name=None, version="0.1.0", prog_name="Offload Lab")
def lab() -> None:
    """A blocking Django and long-lived connections on one port, with uWSGI's offload threads.

    Begin with ./lab demo. Each command's own help has an example: ./lab run --help
    """


GROUPS: dict[str, tuple[click.Command, ...]] = {
    "Start": (demo, list_steps, run, live, explain, doctor, adopt),
    "Learn": (notebook, start, check, hint, watch, solution, reset, show_progress, join),
    "Teach": (timetable, class_board, pack, book, slides),
    "Measure and maintain": (test, lint, engine, bench, install, dev),
}
for commands in GROUPS.values():
    for command in commands:
        lab.add_command(command)


def main() -> None:
    """Exit status: 0 success, 1 an error, 2 an unknown name or option, 130 Ctrl-C."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal that knows no arrow shows a question mark
    try:
        lab.main(prog_name="./lab", standalone_mode=False)
    except click.exceptions.Exit as error:
        sys.exit(error.exit_code)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except (click.Abort, KeyboardInterrupt):
        err.print("stopped; nothing is left running", style="yellow")
        sys.exit(INTERRUPTED)
    except LabError as error:
        err.print(f"error: {error}", style="red", markup=False)
        sys.exit(2 if isinstance(error, UnknownNameError) else 1)
