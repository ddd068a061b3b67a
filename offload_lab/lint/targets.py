"""The files to lint: sections, folders of an Emperor, and files that belong together."""

import glob
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from offload_lab.uwsgi.config.formats import ENDINGS
from offload_lab.uwsgi.config.model import Config, ConfigError, Option
from offload_lab.uwsgi.config.reader import parse
from offload_lab.uwsgi.config.servers import APPS, listens

from .judge import lint, lint_sides
from .rules import Finding

LARGEST = 2**20  # bytes; a configuration has some thousand
MOST_VASSALS = 500


@dataclass
class Report:
    files: list[str]
    configs: list[Config] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    unusable: list[ConfigError] = field(default_factory=list)
    joined: bool = False  # the files were read as one configuration


def read(path: str) -> str:
    """The text of `path`.

    Raises: OSError or ConfigError: not every path is a file that can be read to its end.
    """
    if Path(path).is_dir():
        raise ConfigError(path, "is a folder, not a file")
    if Path(path).exists() and not Path(path).is_file():
        raise ConfigError(path, "is no ordinary file")
    with open(path, "rb") as file:
        content = file.read(LARGEST + 1)
    if len(content) > LARGEST:
        raise ConfigError(path, "is larger than 1 MiB, no configuration is")
    if b"\0" in content:
        raise ConfigError(path, "is binary, not text")
    return content.decode(errors="replace")


def examine(names: list[str], environ: Mapping[str, str], join: bool | None = None) -> Report:
    """Each of `names` as a server of its own, and between them as front and backend. `join`: all as one configuration;
    None: if that is what they are."""
    report = Report(names)
    paths: list[str] = []
    for name in names:
        for path in expand(name, report):
            paths.append(path)
            report.configs += attempt(path, environ, report)
    if join or (join is None and complete_each_other(report.configs) and not report.unusable):
        report.configs, report.joined = [], len(paths) > 1
        report.unusable.clear()
        report.configs += attempt(paths, environ, report)
    for config in list(report.configs):
        report.configs += vassals_of(config, environ, report)
    found = [finding for config in report.configs for finding in lint(config)] + lint_sides(report.configs)
    first = {finding.place: finding for finding in reversed(found)}
    report.findings = [finding for finding in found if first[finding.place] is finding]
    return report


def attempt(
    path: str | list[str], environ: Mapping[str, str], report: Report, before: Sequence[Option] = ()
) -> list[Config]:
    """The configuration; none where it cannot be read, which the report then says."""
    try:
        return [parse(path, read, environ, sorted_glob, before)]
    except ConfigError as error:
        if not any((known.where, known.why) == (error.where, error.why) for known in report.unusable):
            report.unusable.append(error)
        return []


def sorted_glob(pattern: str) -> list[str]:
    return sorted(glob.glob(pattern))[:MOST_VASSALS]


def complete_each_other(configs: list[Config]) -> bool:
    """Whether files that were named together are parts of one configuration: a server listens and runs an app, and no
    two of them do the one, or do the other; and one of them does only half of it."""
    if len(configs) < 2 or any(config.all("emperor") for config in configs):
        return False
    listening = [config for config in configs if listens(config)]
    apps = [config for config in configs if config.all(*APPS)]
    whole = [config for config in listening if config in apps]
    return len(listening) <= 1 and len(apps) <= 1 and len(whole) < len(configs)


# --- folders


def expand(name: str, report: Report) -> list[str]:
    if not os.path.isdir(name):
        return [name]
    found = vassals_in(name)
    if not found:
        report.unusable.append(ConfigError(name, f"is a folder with no file that uWSGI reads ({', '.join(ENDINGS)})"))
    return found


def vassals_in(folder: str) -> list[str]:
    """The files for which an Emperor that watches `folder` starts a server."""
    return [
        path
        for path in sorted_glob(os.path.join(folder, "*"))
        if path.endswith(tuple(ENDINGS)) and os.path.isfile(path)
    ]


def vassals_of(config: Config, environ: Mapping[str, str], report: Report) -> list[Config]:
    """The servers that an ``emperor =`` line starts, where its folder is on this machine too."""
    read_already = {known.file for known in report.configs}
    sets = [replace(option, name="set") for option in config.all("vassal-set", "vassals-set")]
    found: list[Config] = []
    for option in config.all("emperor"):
        folder = option.value.removeprefix("dir://").removeprefix("glob://")
        paths = (
            vassals_in(folder)
            if os.path.isdir(folder)
            else [path for path in sorted_glob(folder) if os.path.isfile(path)]
        )
        for path in paths:
            found += [vassal for vassal in attempt(path, environ, report, sets) if vassal.file not in read_already]
    return found
