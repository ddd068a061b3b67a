"""./lab lint: the same as the offload-lint that installs alone."""

import sys

import click

from offload_lab.lint.command import main


@click.command(
    context_settings={"ignore_unknown_options": True, "help_option_names": []},
    short_help="Name what is wrong with uWSGI configurations for offloading: the line, what happens, the cure.",
)
@click.argument("words", nargs=-1, type=click.UNPROCESSED)
def lint(words: tuple[str, ...]) -> None:
    sys.exit(main(words, "./lab lint"))
