"""The rules applied: to one configuration, or to a front and its backend."""

from collections.abc import Iterable

from offload_lab.uwsgi.config.model import Acknowledged, Config
from offload_lab.uwsgi.config.servers import offloading_routes

from .rules import RULES, Finding


def lint(config: Config) -> list[Finding]:
    """All findings in the order of their lines, each rule and line once, without acknowledged ones."""
    found = (Finding(rule, match) for rule in RULES if rule.sides == 1 for match in rule.check(config))
    return sort([finding for finding in found if not is_acknowledged(finding, config.acknowledged)], [config])


def lint_sides(configs: list[Config]) -> list[Finding]:
    """What does not fit between a front and the backend that listens at its target."""
    found = []
    for front in configs:
        for backend in configs:
            if front is not backend and offloading_routes(front):
                rules = [
                    rule for rule in RULES if rule.sides == 2 and (rule.id != "socket-mismatch" or len(configs) == 2)
                ]
                found += [Finding(rule, match) for rule in rules for match in rule.check(front, backend)]
    marks = [mark for config in configs for mark in config.acknowledged]
    return sort([finding for finding in found if not is_acknowledged(finding, marks)], configs)


def sort(found: Iterable[Finding], configs: list[Config]) -> list[Finding]:
    first = {finding.place: finding for finding in reversed(list(found))}
    named = [config.file for config in configs]
    files = list(dict.fromkeys([*named, *(option.file for config in configs for option in config.options)]))
    return sorted(
        first.values(), key=lambda finding: (files.index(finding.option.file), finding.option.line, finding.rule.id)
    )


def is_acknowledged(finding: Finding, marks: Iterable[Acknowledged]) -> bool:
    """By a comment above one of its lines; general advice by a comment anywhere in the file."""
    lines = {(option.file, option.line) for option in (finding.option, *finding.match.related)}
    files = {file for file, _ in lines}
    for mark in marks:
        if mark.rule == finding.rule.id:
            whole = finding.rule.level == "hygiene" and mark.file in files
            if whole or (mark.file, mark.line) in lines:
                return True
    return False
