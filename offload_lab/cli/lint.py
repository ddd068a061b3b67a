"""./lab lint: the same as the offload-lint that installs alone."""

import sys

import click

from offload_lab.lint.command import main


@click.command(
    context_settings={"ignore_unknown_options": True, "help_option_names": []},  # offload-lint has its own help
    short_help="Name what is wrong with uWSGI configurations for offloading: the line, the effect, the cure.",
)
@click.argument("args", nargs=-1, type=click.UNPROCESSED)
def lint(args: tuple[str, ...]) -> None:
    sys.exit(main(args, "./lab lint"))
