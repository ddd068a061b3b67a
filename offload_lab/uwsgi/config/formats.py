"""The formats that uWSGI reads, each into the same page of options: INI, YAML, JSON and XML."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from .model import ConfigError, Option, Problem

TEMPLATE_ENDINGS = (
    ".j2",
    ".jinja",
    ".jinja2",
    ".erb",
    ".tmpl",
    ".tpl",
    ".template",
    ".in",
    ".dist",
    ".example",
    ".sample",
)
ENDINGS = {".ini": "ini", ".yml": "yaml", ".yaml": "yaml", ".json": "json", ".js": "json", ".xml": "xml"}


@dataclass
class Page:
    """One file, one section of it. `comments` are those in which a rule is acknowledged."""

    options: list[Option] = field(default_factory=list)
    sections: list[str] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    comments: list[Option] = field(default_factory=list)
    template: bool = False


PageReader = Callable[[str, str, str, Mapping[str, str]], Page]  # text, section, path, magic variables


def format_of(path: str, text: str) -> str:
    """The format by the file's ending, as uWSGI decides; by its contents where the ending is unknown."""
    name = path.lower()
    while name.endswith(TEMPLATE_ENDINGS):
        name = name.rpartition(".")[0]
    ending = re.search(r"\.\w+$", name)
    if ending and ending[0] in ENDINGS:
        return ENDINGS[ending[0]]
    if re.match(r"\s*<(\?xml|uwsgi|!--)", text):
        return "xml"
    if re.match(r"\s*\{\s*\"", text):
        return "json"
    if not re.search(r"^\s*\[[^\]=]+\]\s*$", text, re.MULTILINE) and re.search(r"^uwsgi:\s*$", text, re.MULTILINE):
        return "yaml"
    return "ini"


def acknowledges(comment: str) -> bool:
    return re.match(r"[;#<!\s-]*lint:\s*ignore\b", comment) is not None


def no_section(path: str, page: Page, section: str) -> ConfigError:
    """With what to ask for instead."""
    if not page.sections:
        return ConfigError(path, f"has no section [{section}] and no other one: uWSGI reads nothing of it")
    listed = ", ".join(f"[{name}]" for name in page.sections[:12]) + (", …" if len(page.sections) > 12 else "")
    likely = next((name for name in page.sections if "uwsgi" in name.lower()), page.sections[0])
    return ConfigError(path, f"has no section [{section}]; it has {listed}. Name one: {path}:{likely}")
