"""uWSGI's INI files, line by line as core/ini.c reads them."""

import re
from collections.abc import Mapping

from .formats import Page, acknowledges
from .magic import lines
from .model import Option

OPENS = re.compile(r"(?:\{%[-+]?|^\s*%)\s*(?:if|for|unless|while)\b|<%-?\s*(?:if|unless)\b|\bdo\s*\|")
CLOSES = re.compile(r"(?:\{%[-+]?|^\s*%)\s*end(?:if|for|while)\b|<%-?\s*end\b")
MAKO = r"%\s*(?:if|elif|else|for|while|end(?:if|for|while))\b.*|##.*"
TEMPLATE_LINE = re.compile(rf"\s*(\{{[%#{{].*|<%(?!=).*|{MAKO})$")
MARKS = re.compile(r"<%|%>|\{%|%\}|\{#|#\}")


def read_ini(text: str, section: str, path: str, magic: Mapping[str, str]) -> Page:
    """The options in `section`, one a line. A line of a template engine is none; below its conditions all is maybe."""
    page, here, depth, inside = Page(), "", 0, False
    for number, line, raw in lines(text.removeprefix("\ufeff"), magic):
        line = line.strip(" \t\r")
        if inside or TEMPLATE_LINE.match(raw):
            page.template = True
            depth += len(OPENS.findall(raw)) - len(CLOSES.findall(raw))
            inside = ends_inside(raw, inside)
        elif line.startswith("["):
            here = line[1:-1]
            if here not in page.sections:
                page.sections.append(here)
        elif line and line[0] in ";#":
            if acknowledges(line):
                page.comments.append(Option("", line, path, number, text=raw))
        elif line and here == section:
            name, _, value = line.partition("=")
            page.options.append(
                Option(name.rstrip(" \t\r"), value.strip(" \t\r"), path, number, maybe=depth > 0, text=raw.rstrip("\r"))
            )
    return page


def ends_inside(line: str, inside: bool) -> bool:
    """Whether a template engine's own words go on in the next line."""
    marks = MARKS.findall(line)
    return marks[-1] in ("<%", "{%", "{#") if marks else inside
