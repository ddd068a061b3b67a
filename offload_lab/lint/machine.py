"""A report as JSON, and as SARIF for code scanning."""

from typing import Any
from urllib.parse import quote

from offload_lab.uwsgi.config.model import ENVIRONMENT, Option

from .rules import RULES, Finding, Rule
from .targets import Report
from .text import span

SARIF = "https://json.schemastore.org/sarif-2.1.0.json"
Json = dict[str, Any]


def to_json(report: Report) -> Json:
    return {
        "files": report.files,
        "one_configuration": report.joined,
        "findings": [finding_to_json(finding) for finding in report.findings if finding.level != "hygiene"],
        "hygiene": [finding_to_json(finding) for finding in report.findings if finding.level == "hygiene"],
        "unusable": [{"file": error.where, "why": error.why} for error in report.unusable],
    }


def finding_to_json(finding: Finding) -> Json:
    start, length = span(finding)
    return {
        "file": finding.option.file,
        "line": finding.option.line,
        "column": start + 1,
        "end_column": start + 1 + length,
        "source": finding.option.text,
        "rule": finding.rule.id,
        "level": finding.level,
        "maybe": finding.maybe,
        "what": finding.what,
        "effect": finding.rule.effect,
        "cure": finding.cure,
        "page": finding.rule.page,
        "issue": finding.rule.issue or None,
        "related": [
            {"file": option.file, "line": option.line, "source": option.text} for option in finding.match.related
        ],
    }


# --- SARIF


def to_sarif(report: Report, version: str) -> Json:
    ids = [rule.id for rule in RULES]
    run: Json = {
        "tool": {
            "driver": {"name": "offload-lint", "version": version, "rules": [rule_to_sarif(rule) for rule in RULES]}
        },
        "columnKind": "unicodeCodePoints",
        "results": [result(finding, ids.index(finding.rule.id)) for finding in report.findings],
        "invocations": [
            {
                "executionSuccessful": not report.unusable,
                "toolExecutionNotifications": [
                    {"level": "error", "message": {"text": str(error)}} for error in report.unusable
                ],
            }
        ],
    }
    return {"$schema": SARIF, "version": "2.1.0", "runs": [run]}


def rule_to_sarif(rule: Rule) -> Json:
    return {
        "id": rule.id,
        "shortDescription": {"text": rule.effect},
        "help": {"text": f"{rule.cure}\nSee {rule.page}"},
        "defaultConfiguration": {"level": sarif_level(rule.level)},
    }


def result(finding: Finding, index: int) -> Json:
    maybe = " (may be: a condition decides)" if finding.maybe else ""
    start, length = span(finding)
    return {
        "ruleId": finding.rule.id,
        "ruleIndex": index,
        "level": sarif_level(finding.level),
        "message": {"text": f"{finding.what}{maybe}: {finding.rule.effect}. Cure: {finding.cure}"},
        "locations": [location(finding.option, start, length)],
        "relatedLocations": [location(option, 0, len(option.text)) for option in finding.match.related],
    }


def location(option: Option, start: int, length: int) -> Json:
    place: Json = {"artifactLocation": {"uri": quote(option.file.replace("\\", "/"))}}
    if option.file != ENVIRONMENT:
        place["region"] = {
            "startLine": option.line,
            "startColumn": start + 1,
            "endColumn": start + 1 + length,
            "snippet": {"text": option.text},
        }
    return {"physicalLocation": place}


def sarif_level(level: str) -> str:
    return "note" if level == "hygiene" else level
