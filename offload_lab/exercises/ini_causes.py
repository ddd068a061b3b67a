"""What is wrong in a learner's INI by its text alone. No process is started."""

import re
from collections.abc import Iterator
from contextlib import suppress

from offload_lab.lint.judge import lint, lint_sides
from offload_lab.lint.rules import Finding
from offload_lab.lint.targets import read
from offload_lab.stages.step import Step, Task
from offload_lab.uwsgi.config.ini import read_ini
from offload_lab.uwsgi.config.magic import magic_of
from offload_lab.uwsgi.config.model import Config, ConfigError, Option
from offload_lab.uwsgi.config.reader import parse
from offload_lab.uwsgi.config.servers import COLLECTS

from .cause import Cause

READ = "uwsgi"  # the one section that `uwsgi --ini FILE` reads
# rules of lint about one line; what the whole configuration does is observed on the processes
BY_THE_TEXT = {
    "no-number",
    "unknown-option",
    "comment-in-value",
    "invalid-placeholder",
    "placeholder-is-option",
    "placeholder-kept",
    "unknown-action",
    "target-syntax",
    "target-name",
    "condition-constant",
    "gevent-threads",
    "protocol-mismatch",
}


def ini_causes(step: Step, task: Task) -> list[Cause]:
    """The mistakes in the INI of `task`, read together with its variant's other INIs; none if its file is no INI."""
    if not task.file.endswith(".ini"):
        return []
    path = str(step.folder / task.file)
    found = list(unread_sections(path))
    with suppress(ConfigError):  # uWSGI says the rest
        configs = {ini: parse(str(step.folder / ini), read) for ini in step.variant(task.variant).inis}
        config = configs[task.file]
        findings = [*lint(config), *lint_sides(list(configs.values()))]
        found += [lint_cause(finding) for finding in findings if finding.rule.id in BY_THE_TEXT]
        found += [*nameless_variables(config), *deleted_headers(config)]
    here = re.compile(rf"{re.escape(str(step.folder))}/|(?<=\.ini):\d+")  # a copy's lines are not the learner's
    first_of_each = {cause.id: cause for cause in reversed(found)}.values()
    return [Cause(cause.id, here.sub("", cause.sentence)) for cause in first_of_each]


def unread_sections(path: str) -> Iterator[Cause]:
    def page(section: str) -> tuple[list[str], list[Option]]:
        found = read_ini(read(path), section, path, magic_of(path, section))
        return found.sections, found.options

    for name in page(READ)[0]:
        options = page(name)[1]
        if name != READ and options:
            more = f", and so do the {len(options) - 1} options below it" if len(options) > 1 else ""
            sentence = f"{quoted(options[0])} is in the section [{name}]{more}: uWSGI reads [{READ}] only"
            yield Cause("unread-section", sentence)


def lint_cause(found: Finding) -> Cause:
    sentence = f"{quoted(found.option)}: {found.what}"
    if found.rule.id not in ("unknown-option", "no-number"):  # their `what` has the effect
        sentence += f"; {found.rule.effect}" + (f"; write {found.match.cure}" if found.match.cure else "")
    return Cause(found.rule.id, sentence)


def nameless_variables(config: Config) -> Iterator[Cause]:
    for option in config.all(*COLLECTS):
        if " " not in option.value:
            yield Cause("no-variable", f"{quoted(option)}: {option.name} wants HEADER VARIABLE, with a space between")


def deleted_headers(config: Config) -> Iterator[Cause]:
    """uWSGI deletes headers before it collects any, whichever line comes first."""
    kept = {option.value.partition(" ")[0].lower(): option for option in config.all(*COLLECTS)}
    for option in config.all("del-header"):
        if other := kept.get(option.value.lower()):
            sentence = f"{quoted(option)} deletes the app's header {option.value}, so {quoted(other)} never finds it"
            yield Cause("deleted-header", sentence)


def quoted(option: Option) -> str:
    return f"'{option.text.strip()}'"
