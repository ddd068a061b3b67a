"""A report as text."""

import os
import shutil
import textwrap
from collections import Counter
from collections.abc import Iterator

from offload_lab.uwsgi.config.model import ENVIRONMENT

from .rules import RULES, Finding
from .targets import Report

WIDEST = 120
COLOURS = {"error": "1;31", "warning": "33", "note": "36", "dim": "2", "bold": "1"}


class Style:
    def __init__(self, coloured: bool) -> None:
        self._coloured = coloured
        self.width = min(WIDEST, shutil.get_terminal_size().columns)

    def __call__(self, text: str, name: str) -> str:
        return f"\x1b[{COLOURS[name]}m{text}\x1b[0m" if self._coloured and name in COLOURS else text


def wants_colour(is_terminal: bool) -> bool:
    return bool(os.environ.get("FORCE_COLOR")) or (is_terminal and not os.environ.get("NO_COLOR"))


def show(report: Report, style: Style) -> Iterator[str]:
    """All lines of the report, but for what could not be read."""
    if report.joined:
        yield from wrapped("", f"read as one configuration: {' + '.join(report.files)} (--each: each alone)", style)
        yield ""
    for finding in report.findings:
        if finding.level != "hygiene":
            yield from show_finding(finding, style)
            yield ""
    yield from hygiene(report, style)
    levels = Counter(finding.level for finding in report.findings)
    counts = [count(levels["error"], "error"), count(levels["warning"], "warning")]
    counts += [count(levels["note"], "note")] if levels["note"] else []
    yield style(f"{', '.join(counts)} in {count(len(report.configs), 'file')}", "dim")


def show_finding(finding: Finding, style: Style) -> Iterator[str]:
    maybe = "  (may be: a condition decides)" if finding.maybe else ""
    yield f"{finding.option.place}  {style(finding.level, finding.level)}  {style(finding.rule.id, 'bold')}{maybe}"
    yield from with_caret(finding, style)
    yield from wrapped("", finding.what, style)
    yield from wrapped("effect: ", finding.rule.effect, style)
    yield from wrapped("cure:   ", finding.cure, style)
    yield from wrapped("see:    ", finding.rule.page, style)


def with_caret(finding: Finding, style: Style) -> Iterator[str]:
    """The line of the file, and a caret below the part that is meant."""
    if finding.option.file == ENVIRONMENT:
        yield f"    {finding.option.text}"
        return
    start, length = span(finding)
    text = finding.option.text.replace("\t", " ").replace("\x1b", "?")
    room = style.width - 5
    cut = min(max(0, start - 10), len(text) - room) if start + length > room else 0
    shown = text[cut : cut + room]
    yield f"    {shown}"
    yield style(f"    {' ' * (start - cut)}{'^' * max(1, min(length, room - start + cut))}", "bold")


def span(finding: Finding) -> tuple[int, int]:
    """Where in the line the finding is: its part, else the value, else the name; from 0, and how long."""
    text = finding.option.text
    written = text.partition("=")[2].strip()  # before it was expanded
    for part in (finding.match.part, finding.option.value, written, finding.option.name):
        begin = text.rfind(part) if part in (finding.option.value, written) else text.find(part)
        if part and begin >= 0:
            return begin, len(part)
    return len(text) - len(text.lstrip()), len(text.strip())


def hygiene(report: Report, style: Style) -> Iterator[str]:
    """General advice on one line, however many files lack it."""
    found = [finding for finding in report.findings if finding.level == "hygiene"]
    counts = Counter(finding.rule.id for finding in found)
    many = len(report.configs) > 1
    parts = [f"{rule} ({count(number, 'file')})" if many else rule for rule, number in sorted(counts.items())]
    strict = [finding for finding in found if finding.rule.id == "no-strict" and finding.match.related]
    if strict and many:
        parts.append(
            f"before strict, make placeholders of own names ({count(len(strict), 'file')}, --json has the lines)"
        )
    elif strict:
        parts.append(f"with own names: {strict[0].cure}")
    if parts:
        yield from wrapped("general: ", "; ".join(parts), style)


def wrapped(label: str, text: str, style: Style) -> Iterator[str]:
    start = f"  {label}"
    lines = textwrap.wrap(
        text, style.width, initial_indent=start, subsequent_indent=" " * len(start), break_on_hyphens=False
    )
    for line in lines:
        yield style(line[: len(start)], "dim") + line[len(start) :]


def count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def show_rules(style: Style) -> Iterator[str]:
    for rule in RULES:
        yield f"{style(rule.id, 'bold')}  {style(rule.level, rule.level)}"
        yield from wrapped("effect: ", rule.effect, style)
        yield from wrapped("cure:   ", rule.cure, style)
        yield from wrapped("see:    ", f"{rule.page}{', ' + rule.issue if rule.issue else ''}", style)
