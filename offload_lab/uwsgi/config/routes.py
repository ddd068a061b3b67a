"""uWSGI's internal routing, as far as a linter has to follow it: which action runs under which conditions."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from .model import Config, Option

NAME = re.compile(r"(?:(response|error|final)-)?route(?:-(.+))?")
BY_STATUS, ALWAYS, LABEL = "status", "run", "label"
STOPS = ("last", "break", "return", "continue", "goto")
# actions that an offload thread can finish; the others end at once
CONNECTIONS = ("uwsgi", "proxyuwsgi", "http", "proxyhttp", "httpdumb")
FILES = ("static", "file", "sendfile", "fastfile", "static-next", "file-next", "sendfile-next", "fastfile-next")
# what is known before the app is asked, most of it because the client sent it
REQUEST = re.compile(
    r"HTTP_.*|CONTENT_(TYPE|LENGTH)|QUERY_STRING|REQUEST_(URI|METHOD|SCHEME)|PATH_INFO|SCRIPT_NAME"
    r"|SERVER_(NAME|PORT|PROTOCOL)|REMOTE_(ADDR|PORT)|DOCUMENT_ROOT|HTTPS|(cookie|qs|time|uwsgi|httptime)\[.*"
)


@dataclass(frozen=True)
class Route:
    """One action. `conditions`: all that must hold, those of the jumps that lead here included, as they are written;
    those by the request's path, host and so on begin with the option's kind."""

    option: Option
    table: str  # "" for the request's, "response", "error", "final"
    kind: str  # what decides: "if", "if-not", "status", "run", or what the pattern is matched with
    own: str  # this line's condition, as it is written
    conditions: frozenset[str]
    action: str
    argument: str

    @property
    def written(self) -> bool:
        """Whether the line has an action at all."""
        return ":" in self.option.value.removeprefix(self.own)

    @property
    def condition(self) -> str:
        """The name of the condition of an ``if``."""
        return self.own.partition(":")[0]

    @property
    def offloads(self) -> bool:
        return self.action in CONNECTIONS

    @property
    def sends_file(self) -> bool:
        return self.action in FILES

    @property
    def variables(self) -> set[str]:
        """The variables in the conditions."""
        return {name for condition in self.conditions for name in variables_in(condition)}

    @property
    def asks_app(self) -> bool:
        """Whether the app's answer decides: its status, or a variable that no request brings."""
        return any(condition.removeprefix("else ").startswith(BY_STATUS) for condition in self.conditions) or any(
            not is_request_variable(name) for name in self.variables
        )


def variables_in(text: str) -> list[str]:
    return re.findall(r"\$\{([^}]+)\}", text)


def is_request_variable(name: str) -> bool:
    return REQUEST.fullmatch(name) is not None


def routes(config: Config, *tables: str) -> list[Route]:
    return [route for table in tables for route in table_of(config.options, table)]


def table_of(options: Iterable[Option], table: str) -> Iterator[Route]:
    """The routes of one table in order. A jump or an end above narrows the conditions of all that follows."""
    here: frozenset[str] = frozenset()
    falls_through = True
    jumps: dict[str, list[frozenset[str]]] = {}
    for option in options:
        match = NAME.fullmatch(option.name)
        if match is None or (match[1] or "") != table:
            continue
        if match[2] == LABEL:
            ways = jumps.pop(option.value, []) + ([here] if falls_through else [])
            here = frozenset.intersection(*ways) if ways else here
            falls_through = True
            continue
        kind = match[2] or "path"
        condition, action, argument = split(kind, option.value)
        own = frozenset({f"{kind} {condition}"} if condition else ())
        conditions = here | own
        yield Route(option, table, kind, condition, conditions, action, argument)
        if action in STOPS:
            if action == "goto":
                jumps.setdefault(argument, []).append(conditions)
            falls_through = falls_through and bool(own)
            here = here | {f"else {condition}" for condition in own}


def split(kind: str, value: str) -> tuple[str, str, str]:
    """The condition, the action, its argument."""
    condition, _, rest = ("", "", value) if kind == ALWAYS else value.partition(" ")
    action, _, argument = rest.strip().partition(":")
    return condition, action, argument.strip()
