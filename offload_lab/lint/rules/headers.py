"""Response headers between the app and an offload: sent once, and believed only where the app wrote them."""

import re

from offload_lab.uwsgi.config.model import Config, Option
from offload_lab.uwsgi.config.options import nearest
from offload_lab.uwsgi.config.routes import Route, is_request_variable, routes, variables_in
from offload_lab.uwsgi.config.servers import collected, offloading_routes

from .model import Found, Match, rule

STOPPERS = ("disableheaders", "send", "send-crnl")
TABLES = ("", "response", "error", "final")
EQUALS_TEXT = re.compile(r"if (?:equal|isequal|eq):(\$\{[^}]+\});[^$]+")
SETTERS = ("addvar", "cachevar", "rpcvar", "access")


@rule(
    "headers-twice",
    "error",
    effect="a second set of response headers arrives as part of the stream, and a WebSocket handshake fails",
    cure="before it, under the same condition: disableheaders: (or send:, where the backend sends no headers)",
)
def headers_twice(config: Config) -> Found:
    """A line above that stops the headers counts if it holds wherever the offload does: by its conditions, or because
    it asks for a variable of its own that no offload asks for."""
    asked = {name for route in offloading_routes(config) for name in route.variables}
    stops: list[Route] = []
    for route in routes(config, "response"):
        if route.action in STOPPERS:
            stops.append(route)
        covered = any(by_app(stop) <= by_app(route) or not stop.variables & asked for stop in stops)
        if route.offloads and not covered:
            yield Match(route.option, "offloads while the app's own headers are still to be sent", f"{route.action}:")


def by_app(route: Route) -> set[str]:
    """The conditions that are about more than path and host. A variable that equals a text is not empty."""
    own = {condition for condition in route.conditions if condition.removeprefix("else ").startswith(("if", "status"))}
    return own | {f"if-not empty:{match[1]}" for condition in own if (match := EQUALS_TEXT.fullmatch(condition))}


@rule(
    "headers-lost",
    "error",
    effect="a client that is refused or redirected gets an answer without status and headers",
    cure="ask first: response-route-if-not = empty:${…} disableheaders:",
)
def headers_lost(config: Config) -> Found:
    for route in routes(config, "response"):
        if route.action == "disableheaders" and not route.asks_app and not route.variables & set(collected(config)):
            yield Match(route.option, "drops the app's headers whatever it answered", part="disableheaders:")


@rule(
    "request-variable",
    "error",
    effect="where the response lacks that header (a 304 does) the request's own value decides, not Django",
    cure="collect it under a name that no request can set: collect-header = Content-Type OFFLOAD_TYPE",
)
def request_variable(config: Config) -> Found:
    for variable, option in collected(config).items():
        if is_request_variable(variable):
            header = option.value.partition(" ")[0]
            what = f"keeps the response's {header} in {variable}, where the request's own value stands"
            yield Match(option, what, part=variable)


@rule(
    "refusal-ignored",
    "error",
    effect="Django's refusal does not count: anonymous clients get the stream",
    cure="offload only if the app authorises: response-route-if-not = empty:${…} …, from a header that you collect",
)
def refusal_ignored(config: Config) -> Found:
    for route in routes(config, "response"):
        if route.offloads and not route.asks_app and not route.variables & set(collected(config)):
            yield Match(route.option, "offloads whatever the app answered", part=f"{route.action}:")


@rule(
    "client-names-target",
    "error",
    effect="clients read any file that the worker can read, or reach any server that it can reach",
    cure="take the target from a header that the app sets, collected under a name that no request can set",
)
def client_names_target(config: Config) -> Found:
    for route in routes(config, "", "response"):
        target = route.argument.split(",")[0] if route.offloads else route.argument
        chosen = [name for name in variables_in(target) if is_request_variable(name)]
        if chosen and (route.offloads or (route.sends_file and target.startswith("${" + chosen[0]))):
            variable = "${" + chosen[0] + "}"
            yield Match(
                route.option, f"the client chooses the target: {variable} comes from the request", part=variable
            )


# --- collected and asked


@rule(
    "collected-never-asked",
    "error",
    effect="the app's header decides nothing: no connection is offloaded because of it",
    cure="ask for the variable that the header is collected in",
)
def collected_never_asked(config: Config) -> Found:
    """Only beside a name that a line asks for in vain: what is collected also reaches the backend, and a header may be
    pulled so that clients do not see it."""
    tested = tested_variables(config)
    missing = [name for name, option in tested.items() if is_missing(name, config)]
    for variable, option in collected(config).items():
        if variable in tested or not missing:
            continue
        guess = nearest(variable, missing)
        name = guess or missing[0]
        what = f"collects {variable}, and line {tested[name].line} asks for ${{{name}}}"
        cure = f"write both as one name: {variable}" if guess else ""
        yield Match(option, what, variable, (tested[name],), level=None if guess else "warning", cure=cure)


@rule(
    "asked-never-collected",
    "note",
    effect="the variable is always empty, so the condition has the same result for each response",
    cure="pull-header = HEADER NAME, or uwsgi.add_var('NAME', …) in the app",
)
def asked_never_collected(config: Config) -> Found:
    tested = {name: option for name, option in tested_variables(config).items() if option.name.startswith("response-")}
    missing = {name: option for name, option in tested.items() if is_missing(name, config)}
    unasked = [name for name in collected(config) if name not in tested]
    if missing and not unasked:
        name, option = next(iter(missing.items()))
        listed = ", ".join(f"${{{variable}}}" for variable in missing)
        yield Match(
            option, f"asks for {listed}: no line here sets it, only uwsgi.add_var() in the app can", f"${{{name}}}"
        )


def tested_variables(config: Config) -> dict[str, Option]:
    """The variables in routes, each with the line that asks for it first."""
    found: dict[str, Option] = {}
    for route in routes(config, *TABLES):
        for name in variables_in(route.option.value):
            found.setdefault(name, route.option)
    return found


def is_missing(name: str, config: Config) -> bool:
    """Whether neither a header, a request nor a route brings the variable."""
    set_by_routes = {
        word
        for route in routes(config, *TABLES)
        if route.action in SETTERS
        for word in re.split(r"[=,]", route.argument)
    }
    return (
        "[" not in name
        and not is_request_variable(name)
        and name not in {**collected(config)} | dict.fromkeys(set_by_routes)
    )


@rule(
    "condition-constant",
    "error",
    effect="the condition compares two constants: it is true for each request, or for none",
    cure="a variable is written ${NAME}",
)
def condition_constant(config: Config) -> Found:
    for route in routes(config, *TABLES):
        if route.kind not in ("if", "if-not") or route.condition not in ("empty", "equal", "isequal", "eq"):
            continue
        subject = route.own.partition(":")[2]
        if subject and not re.search(r"\$\{|\$\d|%\(|\{\{|<%", subject):
            yield Match(route.option, f"{subject} is text, no variable", part=subject)
