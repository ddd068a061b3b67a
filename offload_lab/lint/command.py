"""``offload-lint`` and ``./lab lint``: what is wrong with uWSGI configurations, for people and for machines."""

import argparse
import json
import os
import sys
from collections.abc import Iterable, Sequence
from io import TextIOWrapper

from .machine import to_json, to_sarif
from .targets import Report, examine
from .text import Style, show, show_rules, wants_colour

CLEAN, FINDINGS, UNUSABLE = 0, 1, 2
EPILOG = """\
several files: parts of one configuration are read as one (--one, --each); where one
offloads to a socket on which another listens, both sides are compared.
a folder: each file in it, as an Emperor starts them. FILE:SECTION: that section.
acknowledge a finding by a comment above its line:  ; lint: ignore RULE reason

Example: {program} front.ini backend.ini

exit status: 0 no error and no warning, 1 an error or a warning, 2 a file could not be
read or a wrong option. Notes and general advice do not count.
"""


def main(args: Sequence[str] | None = None, program: str = "offload-lint") -> int:
    options = parser(program).parse_args(args)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal that knows no arrow shows a question mark
    style = Style(wants_colour(sys.stdout.isatty()))
    if options.rules:
        write(show_rules(style))
        return CLEAN
    if not options.files:
        parser(program).error("name at least one file, or --rules")
    report = examine(options.files, os.environ, options.join)
    if options.json:
        print(json.dumps(to_json(report), indent=2))
    elif options.sarif:
        print(json.dumps(to_sarif(report, own_version()), indent=2))
    else:
        write(show(report, style))
        for error in report.unusable:
            print(f"error: {error}", file=sys.stderr)
    return status(report)


def parser(program: str) -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(
        program,
        description="Name what is wrong with uWSGI configurations for offloading: the line, the effect, the cure.",
        epilog=EPILOG.format(program=program),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    made.add_argument("files", nargs="*", metavar="FILE", help="INI, YAML, JSON or XML; FILE:SECTION; a folder")
    formats = made.add_mutually_exclusive_group()
    formats.add_argument("--json", action="store_true", help="one JSON object")
    formats.add_argument("--sarif", action="store_true", help="SARIF 2.1.0, for code scanning")
    formats.add_argument("--rules", action="store_true", help="list the rules instead")
    together = made.add_mutually_exclusive_group()
    together.add_argument(
        "--one", dest="join", action="store_true", default=None, help="the files are one configuration"
    )
    together.add_argument("--each", dest="join", action="store_false", default=None, help="each file is one of its own")
    return made


def write(lines: Iterable[str]) -> None:
    for line in lines:
        print(line)


def status(report: Report) -> int:
    if report.unusable:
        return UNUSABLE
    return FINDINGS if any(finding.level in ("error", "warning") for finding in report.findings) else CLEAN


def own_version() -> str:
    from importlib.metadata import PackageNotFoundError, version  # takes longer than linting a file

    try:
        return version("offload-lab")
    except PackageNotFoundError:  # run from the repository
        return "0"


def run() -> None:
    """The entry point."""
    sys.exit(main())
