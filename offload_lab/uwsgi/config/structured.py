"""YAML, JSON and XML as uWSGI reads them: one flat table of names, each with a value or several."""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any
from xml.parsers import expat

from .formats import Page, acknowledges
from .magic import substitute
from .model import ConfigError, Option, Problem

PAIR = re.compile(r"(?P<name>[^\s:#'\"][^:#]*|'[^']*'|\"[^\"]*\")\s*:(?:\s+(?P<value>.*))?$")


# --- YAML


def read_yaml(text: str, section: str, path: str, magic: Mapping[str, str]) -> Page:
    """The mapping below ``section:``. The reader that uWSGI has built in stops at the first line that is no
    ``name: value``; a uWSGI with libyaml reads lists as well, and so does this.

    Raises: ConfigError for a line that uWSGI does not read as ``name: value``.
    """
    page, name, inside = Page(), "", False
    indent = 0
    for number, raw in enumerate(substitute(text, magic).split("\n"), 1):
        if raw.lstrip().startswith("#"):
            if acknowledges(raw):
                page.comments.append(Option("", raw.strip(), path, number, text=raw))
            continue
        line = without_comment(raw).rstrip()
        if not line.strip() or line.strip() in ("---", "..."):
            continue
        depth, line = len(line) - len(line.lstrip(" \t")), line.strip()
        if depth == 0 and not line.startswith("- "):
            name, inside = "", line.split(":")[0].strip("'\" ") == section and line.endswith(":")
            page.sections.append(line.split(":")[0].strip("'\" "))
            continue
        if not inside:
            continue
        indent = indent or depth
        item = line.startswith("- ") or line == "-"
        match = None if item else PAIR.match(line)
        if match and depth == indent:
            name, value = scalar(match["name"].strip()), match["value"] or ""
        elif item and name:
            value = line[1:].strip()
        else:
            raise ConfigError(f"{path}:{number}", "is YAML that uWSGI does not read as name: value")
        if (value == "" and not item) or (value.startswith(("|", ">", "&", "*"))):
            page.problems.append(yaml_stop(Option(name, value, path, number, text=raw), page))
            continue
        for element in flow(value):
            page.options.append(Option(name, scalar(element), path, number, text=raw))
    page.problems = [problem for problem in page.problems[:1] if page.options]
    return page


def yaml_stop(option: Option, page: Page) -> Problem:
    what = f"'{option.name}:' has no value in its line: uWSGI's built-in YAML reader stops here and says nothing"
    return Problem("yaml-stops", option, what)


def without_comment(line: str) -> str:
    return re.sub(r"(^|\s)#(?=([^'\"]|'[^']*'|\"[^\"]*\")*$).*", "", line)


def flow(value: str) -> list[str]:
    if value.startswith("[") and value.endswith("]"):
        return [element.strip() for element in value[1:-1].split(",") if element.strip()]
    return [value]


def scalar(value: str) -> str:
    quoted = len(value) > 1 and value[0] == value[-1] and value[0] in "'\""
    return value[1:-1] if quoted else value


# --- JSON


def read_json(text: str, section: str, path: str, magic: Mapping[str, str]) -> Page:
    """The object `section`: text, numbers, true and false, and lists of them. All else uWSGI leaves out.

    Raises: ConfigError where it is no JSON, or nested too deeply.
    """
    text = substitute(text, magic)
    try:
        document = json.loads(text)
    except json.JSONDecodeError as error:
        raise ConfigError(f"{path}:{error.lineno}", f"is no JSON: {error.msg}") from error
    except RecursionError as error:
        raise ConfigError(path, "is JSON nested too deeply") from error
    page = Page()
    if not isinstance(document, dict):
        return page
    page.sections = [name for name, value in document.items() if isinstance(value, dict)]
    if isinstance(document.get(section), dict):
        page.options = list(json_options(document[section], text, path))
    return page


def json_options(table: Mapping[str, Any], text: str, path: str) -> Iterator[Option]:
    lines = text.split("\n")
    for name, value in table.items():
        key = json.dumps(name)
        number = next((n for n, line in enumerate(lines, 1) if re.search(re.escape(key) + r"\s*:", line)), 1)
        for element in value if isinstance(value, list) else [value]:
            if not isinstance(element, dict | list):
                yield Option(name, json_text(element), path, number, text=lines[number - 1])


def json_text(value: str | float | bool | None) -> str:
    if value is None or isinstance(value, bool):
        return "1" if value else "0"
    return value if isinstance(value, str) else str(int(value))


# --- XML


def read_xml(text: str, section: str, path: str, magic: Mapping[str, str]) -> Page:
    """The elements below ``<uwsgi>``, the one whose id was asked for if any has it. An empty element is a yes.

    Raises: ConfigError where it is no XML, or a template of it.
    """
    if "<%" in text or "{%" in text:
        raise ConfigError(path, "is a template of XML: lint what it makes")
    page = Page()
    text = substitute(text, magic)
    lines = text.split("\n")
    parser = expat.ParserCreate()
    stack: list[str] = []
    element: dict[str, Any] = {}

    def start(name: str, attributes: dict[str, str]) -> None:
        if name == "uwsgi":
            page.sections.append(attributes.get("id", "uwsgi"))
            wanted = section == "uwsgi" or attributes.get("id") == section
            stack.append("uwsgi" if wanted else "other")
            return
        if stack and stack[-1] == "uwsgi":
            number = parser.CurrentLineNumber
            app = name == "app"  # uWSGI makes a mount of it
            begin = attributes.get("mountpoint", "") + "=" if app else ""
            element.update(name="mount" if app else name, line=number, text=begin)
        stack.append(name)

    def end(name: str) -> None:
        if stack:
            stack.pop()
        if element and stack and stack[-1] == "uwsgi":
            number = element["line"]
            page.options.append(
                Option(element["name"], element["text"].strip() or "1", path, number, text=lines[number - 1])
            )
            element.clear()

    def data(content: str) -> None:
        if element:
            element["text"] += content

    def comment(content: str) -> None:
        if acknowledges(content):
            number = parser.CurrentLineNumber
            page.comments.append(Option("", content.strip(), path, number, text=lines[number - 1]))

    parser.StartElementHandler, parser.EndElementHandler = start, end
    parser.CharacterDataHandler, parser.CommentHandler = data, comment
    try:
        parser.Parse(text.encode(), True)
    except expat.ExpatError as error:
        raise ConfigError(f"{path}:{error.lineno}", f"is no XML: {expat.errors.messages[error.code]}") from error
    return page
