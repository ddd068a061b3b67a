"""Connections that are not offloaded, or whose target cannot be reached."""

import re

from offload_lab.uwsgi.config.model import UNKNOWN, Config, Option
from offload_lab.uwsgi.config.options import known, nearest
from offload_lab.uwsgi.config.routes import Route, routes
from offload_lab.uwsgi.config.servers import (
    HTTP_SOCKETS,
    LONGEST_PATH,
    OFFLOAD,
    ROUTERS,
    SOCKETS,
    STATIC,
    STATS,
    fronts,
    is_tcp,
    may_be_django,
    offload_threads,
    offloading_routes,
    offloads,
)

from .model import Found, Level, Match, rule

TABLES = ("", "response", "error", "final")
REFUSALS = ("break", "log", "donotlog")  # a route that refuses a request, as every front of the steps has


@rule(
    "proxied-by-worker",
    "error",
    effect="the worker sends all bytes itself: one open stream or slow download occupies one worker",
    cure="offload-threads = 2",
)
def proxied_by_worker(config: Config) -> Found:
    """An error where a response route does it because of what the app answered; any other is a proxy or a file."""
    if offloads(config):
        return
    for route in routes(config, "", "response"):
        if route.offloads or route.sends_file:
            what = f"{route.action}: without offload threads"
            level: Level = "error" if route.offloads and route.table == "response" else "warning"
            yield Match(route.option, what, part=f"{route.action}:", level=level)


@rule(
    "no-offload-threads",
    "hygiene",
    effect="workers send every byte themselves: slow downloads and open streams occupy them",
    cure="offload-threads = 2",
)
def no_offload_threads(config: Config) -> Found:
    if not offloads(config) and not any(proxied_by_worker(config)):
        for option in fronts(config):
            yield Match(option, "no offload threads")


@rule(
    "nothing-offloaded",
    "note",
    effect="a stream that Django (or another blocking app) sends occupies a worker while the page is open",
    cure="let the app authorise by a header, collect it, offload: response-route-if-not = empty:${…} uwsgi:…",
)
def nothing_offloaded(config: Config) -> Found:
    app, option = may_be_django(config), config.last(*OFFLOAD)
    asked = [route for route in routes(config, "", "response") if route.action not in REFUSALS]
    routed = [*asked, *config.all(*STATIC)]
    if app and option and offloads(config) and fronts(config) and not routed:
        what = "no route offloads a connection to these threads: they send files, and no stream of the app"
        yield Match(option, what, related=(app,))


@rule(
    "one-offload-thread",
    "warning",
    effect="when many clients reconnect at once, a busy thread refuses, and the worker proxies that connection itself",
    cure="more threads make it rarer, harakiri frees the worker; a view that refuses in time prevents it",
)
def one_offload_thread(config: Config) -> Found:
    option = config.last(*OFFLOAD)
    if option and offloading_routes(config) and offload_threads(config) == 1:
        yield Match(option, "a single offload thread for open connections", part=option.value)


@rule(
    "router-websockets",
    "warning",
    effect="the router passes no WebSocket frames on, and ends a stream that is quiet for http-timeout (60 s)",
    cure="http-websockets = true and an http-timeout above the heartbeat's interval, or http-socket instead",
    issue="unbit/uwsgi #1184, #2183",
)
def router_websockets(config: Config) -> Found:
    routers = [option for option in config.all(*ROUTERS) if option.value]
    if routers and offloading_routes(config) and not config.on("http-websockets") and not config.on("http-raw-body"):
        what = "the HTTP router is in front of offloaded connections, and has no http-websockets"
        yield Match(routers[0], what, related=(offloading_routes(config)[0].option,))


# --- targets that cannot work


@rule(
    "target-syntax",
    "error",
    effect="uWSGI does not start: invalid route syntax",
    cure="uwsgi:ADDRESS,MODIFIER1,MODIFIER2, as in uwsgi:/run/app/sse.sock,0,0",
)
def target_syntax(config: Config) -> Found:
    for route in routes(config, *TABLES):
        if route.action in ("uwsgi", "proxyuwsgi") and route.argument.count(",") < 2:
            yield Match(route.option, f"{route.action}: wants an address and two modifiers", part=route.argument)


@rule(
    "target-name",
    "error",
    effect="the connection fails and the client gets an empty reply: uWSGI does not look up names there",
    cure="a UNIX socket or an IP address: uwsgi:127.0.0.1:3031,0,0",
)
def target_name(config: Config) -> Found:
    for route, target in targets(config):
        host, _, port = target.rpartition(":")
        if is_tcp(target) and not re.fullmatch(r"[\d.]*", host) and port.isdigit():
            yield Match(route.option, f"{host} is a host name, and only IP addresses are reached", part=target)


@rule(
    "path-too-long",
    "error",
    effect=f"uWSGI does not start (invalid socket name); a target is cut off after {LONGEST_PATH} bytes",
    cure="a shorter folder",
)
def path_too_long(config: Config) -> Found:
    paths = [(option, option.value) for option in config.all(*SOCKETS, *HTTP_SOCKETS, *STATS)]
    paths += [(route.option, target) for route, target in targets(config)]
    for option, path in paths:
        if path.startswith("/") and len(path.encode()) > LONGEST_PATH and not UNKNOWN.search(path):
            yield Match(option, f"a socket path of {len(path.encode())} bytes", part=path)


def targets(config: Config) -> list[tuple[Route, str]]:
    """Where connections go, as far as the configuration says so."""
    found = [(route, route.argument.split(",")[0]) for route in offloading_routes(config)]
    return [(route, target) for route, target in found if target and not UNKNOWN.search(target)]


@rule(
    "unknown-action",
    "error",
    effect="uWSGI does not start: it knows no such action or condition",
    cure="an action that uWSGI has, written CONDITION ACTION:ARGUMENT",
)
def unknown_action(config: Config) -> Found:
    for route in routes(config, *TABLES):
        if UNKNOWN.match(route.option.value):
            continue
        if not route.written:
            yield Match(route.option, "no action: a route is CONDITION ACTION:ARGUMENT", part=route.option.value)
            continue
        names = [("action", route.action, known().actions)]
        if route.kind in ("if", "if-not"):
            names.append(("condition", route.condition, known().conditions))
        yield from (unknown(route.option, what, name, valid) for what, name, valid in names if name not in valid)


def unknown(option: Option, kind: str, name: str, names: frozenset[str]) -> Match:
    """An error where it is a known one misspelt; else a plugin may bring it that is not uWSGI's."""
    guess = nearest(name, names)
    what = f"there is no {kind} {name}:" + ("" if guess else " in uWSGI or its plugins")
    cure = f"{guess}:" if guess else ""
    return Match(option, what, part=name, cure=cure, level=None if guess else "note")
