"""./lab lint: what is wrong with a uWSGI configuration, for people and for machines."""

import json
import os
import sys
import textwrap
from pathlib import Path

import click
from rich.table import Table
from rich.text import Text

from ..lint import RULES, Finding, UnusableConfig, parse
from ..lint import lint as judge
from .console import WIDEST, err, out

PITFALLS = "steps/07_pitfalls"
LARGEST = 2**20  # bytes; a configuration has some thousand
COLOURS = {"error": "bold red", "warning": "yellow"}
FINDINGS, UNUSABLE = 1, 2


@click.command()
@click.argument("files", nargs=-1, metavar="FILE...")
@click.option("--json", "as_json", is_flag=True, help="One JSON object, for a machine.")
@click.option("--rules", is_flag=True, help="List the rules instead.")
def lint(files: tuple[str, ...], as_json: bool, rules: bool) -> None:
    """Name what is wrong with uWSGI's INI FILEs for offloading: the line, what happens to users, the cure.

    Exit status: 0 nothing found, 1 something found, 2 a file could not be read.
    """
    if rules:
        return show_rules()
    if not files:
        raise click.UsageError("name at least one INI file, or --rules")
    findings: list[Finding] = []
    unusable: list[UnusableConfig] = []
    for file in files:
        try:
            findings += judge(parse(file, read, os.environ))
        except UnusableConfig as error:
            unusable.append(error)
    findings = list({(one.rule.id, one.option.file, one.option.line): one for one in findings}.values())
    if as_json:
        click.echo(json.dumps(document(files, findings, unusable), indent=2))
    else:
        show(files, findings, unusable)
    sys.exit(UNUSABLE if unusable else FINDINGS if findings else 0)


def read(path: str) -> str:
    """The text of `path`. Raises OSError or UnusableConfig: not every path is a file that can be read to its end."""
    if Path(path).is_dir():
        raise UnusableConfig(path, "is a folder, not a file")
    if Path(path).exists() and not Path(path).is_file():
        raise UnusableConfig(path, "is no ordinary file")
    with open(path, "rb") as file:
        content = file.read(LARGEST + 1)
    if len(content) > LARGEST:
        raise UnusableConfig(path, "is larger than 1 MiB, no configuration is")
    if b"\0" in content:
        raise UnusableConfig(path, "is binary, not text")
    return content.decode(errors="replace")


def document(files: tuple[str, ...], findings: list[Finding], unusable: list[UnusableConfig]) -> dict[str, object]:
    return {
        "files": list(files),
        "findings": [
            {
                "file": one.option.file,
                "line": one.option.line,
                "rule": one.rule.id,
                "level": one.rule.level,
                "what": one.what,
                "users": one.rule.users,
                "cure": one.rule.cure,
                "pitfall": page(one.rule.pitfall),
            }
            for one in findings
        ],
        "unusable": [{"file": one.where, "why": one.why} for one in unusable],
    }


def page(pitfall: str | None) -> str | None:
    return f"{PITFALLS}/{pitfall}.md" if pitfall else None


def show(files: tuple[str, ...], findings: list[Finding], unusable: list[UnusableConfig]) -> None:
    for one in findings:
        place = f"{one.option.file}:{one.option.line}"
        level = (one.rule.level, COLOURS[one.rule.level])
        out.print(Text.assemble(place, "  ", level, "  ", (one.rule.id, "bold")), soft_wrap=True)
        print_wrapped("", one.what)
        print_wrapped("users: ", one.rule.users)
        print_wrapped("cure:  ", one.rule.cure)
        if one.rule.pitfall:
            print_wrapped("see:   ", page(one.rule.pitfall) or "")
        out.print()
    for error in unusable:
        err.print(Text(f"error: {error}", style="red"), soft_wrap=True)
    levels = [one.rule.level for one in findings]
    summary = f"{count(levels.count('error'), 'error')}, {count(levels.count('warning'), 'warning')}"
    out.print(f"{summary} in {count(len(files) - len(unusable), 'file')}", style="dim")


def print_wrapped(label: str, text: str) -> None:
    start = f"  {label}"
    width = min(WIDEST, out.width)
    for line in textwrap.wrap(
        text, width, initial_indent=start, subsequent_indent=" " * len(start), break_on_hyphens=False
    ):
        out.print(Text.assemble((line[: len(start)], "dim"), line[len(start) :]), soft_wrap=True)


def count(number: int, thing: str) -> str:
    return f"{number} {thing}{'' if number == 1 else 's'}"


def show_rules() -> None:
    table = Table("rule", "level", "what happens to users", box=None, header_style="bold")
    for rule in RULES:
        table.add_row(rule.id, Text(rule.level, COLOURS[rule.level]), Text(rule.users))
    out.print(table)
