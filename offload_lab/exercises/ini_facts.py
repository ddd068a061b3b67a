"""What is wrong in a learner's INI by its text alone, told before anything is started."""

import re
from collections.abc import Iterator
from contextlib import suppress

from offload_lab.lint.judge import lint, lint_sides
from offload_lab.lint.rules import Finding as LintFinding
from offload_lab.lint.targets import read
from offload_lab.stages.manifest import Step, Task
from offload_lab.uwsgi.config.ini import read_ini
from offload_lab.uwsgi.config.magic import magic_of
from offload_lab.uwsgi.config.model import Config, ConfigError, Option
from offload_lab.uwsgi.config.reader import parse
from offload_lab.uwsgi.config.servers import COLLECTS

from .finding import Finding

READ = "uwsgi"  # the one section that `uwsgi --ini FILE` reads
# rules of lint that judge a line by itself; what a configuration as a whole does, the processes show
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


def ini_facts(step: Step, task: Task) -> list[Finding]:
    """What the text of the task's INI says, beside its variant's other INIs; nothing where the file is none."""
    if not task.file.endswith(".ini"):
        return []
    path = str(step.folder / task.file)
    found = list(unread_sections(path))
    with suppress(ConfigError):  # uWSGI says the rest
        configs = {ini: parse(str(step.folder / ini), read) for ini in step.variant(task.variant).inis}
        config = configs[task.file]
        judged = [*lint(config), *lint_sides(list(configs.values()))]
        found += [of_lint(one) for one in judged if one.rule.id in BY_THE_TEXT]
        found += [*nameless_variables(config), *deleted_headers(config)]
    here = re.compile(rf"{re.escape(str(step.folder))}/|(?<=\.ini):\d+")  # a copy's lines are not the learner's
    return [Finding(one.id, here.sub("", one.words)) for one in {one.id: one for one in reversed(found)}.values()]


def unread_sections(path: str) -> Iterator[Finding]:
    def page(section: str) -> tuple[list[str], list[Option]]:
        found = read_ini(read(path), section, path, magic_of(path, section))
        return found.sections, found.options

    for name in page(READ)[0]:
        options = page(name)[1]
        if name != READ and options:
            more = f", and so do the {len(options) - 1} options below it" if len(options) > 1 else ""
            words = f"{quoted(options[0])} stands in the section [{name}]{more}: uWSGI reads [{READ}] only"
            yield Finding("unread-section", words)


def of_lint(found: LintFinding) -> Finding:
    words = f"{quoted(found.option)}: {found.what}"
    if found.rule.id != "unknown-option":  # which says itself what follows: that depends on `strict`
        words += f"; {found.rule.effect}" + (f"; write {found.match.cure}" if found.match.cure else "")
    return Finding(found.rule.id, words)


def nameless_variables(config: Config) -> Iterator[Finding]:
    for option in config.all(*COLLECTS):
        if " " not in option.value:
            yield Finding("no-variable", f"{quoted(option)}: {option.name} wants HEADER VARIABLE, with a space between")


def deleted_headers(config: Config) -> Iterator[Finding]:
    """uWSGI deletes a header before it looks whether one is to be collected, whichever line comes first."""
    kept = {option.value.partition(" ")[0].lower(): option for option in config.all(*COLLECTS)}
    for option in config.all("del-header"):
        if other := kept.get(option.value.lower()):
            words = f"{quoted(option)} deletes the app's header {option.value}, so {quoted(other)} never finds it"
            yield Finding("deleted-header", words)


def quoted(option: Option) -> str:
    return f"'{option.text.strip()}'"
