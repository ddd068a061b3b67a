"""What the rules look for, one function each: the parsed configuration in, lines and what is about them out.

They stay silent where only the code, or only the running machine, could tell: a linter that cries wolf is switched off.
"""

import os
import re
from collections.abc import Iterator

from .config import Config, Option
from .routes import Route, is_request_variable, routes, variables_in

Found = Iterator[tuple[Option, str]]  # the line, and what it is about it

SOCKETS = ("socket", "uwsgi-socket", "fastcgi-socket", "scgi-socket", "puwsgi-socket")  # believe all that they are told
HTTP = ("http-socket", "http11-socket", "https-socket", "http", "https")
STATS = ("stats", "stats-server")
APPS = ("wsgi-file", "file", "module", "wsgi", "mount", "django")
OFFLOAD = ("offload-threads", "offload-thread")
LOOPS = ("gevent", "asyncio", "async", "greenlet", "tornado")
DEFAULT_BUFFER = 4096
SHARED_FOLDERS = ("/tmp", "/var/tmp", "/dev/shm")  # noqa: S108 (that is what the rule is about)
DRIVER = re.compile(r"psycopg|postgres|mysql|mariadb|DATABASE_URL|PGHOST", re.IGNORECASE)
CONTENT = re.compile(r"message|payload|content\b|data|body|json|context|profile|claims|permissions", re.IGNORECASE)
RECYCLING = (
    "max-requests", "max-worker-lifetime", "reload-on-as", "reload-on-rss", "evil-reload-on-as", "evil-reload-on-rss",
    "py-auto-reload", "py-autoreload", "cheaper", "idle", "reload-on-exception",
)  # fmt: skip


# --- what a configuration is


def is_unknown(value: str) -> bool:
    return value.startswith(("%(", "$(", "@("))


def is_tcp(value: str) -> bool:
    return ":" in value and not value.startswith("/") and not is_unknown(value)


def is_public(value: str) -> bool:
    """A TCP address beyond this machine's loopback. uWSGI takes an empty host for all of the machine's addresses."""
    host = value.split(",")[0].rpartition(":")[0].strip("[]")
    return is_tcp(value) and not re.fullmatch(r"127\.[\d.]+|localhost|::1", host) and not is_unknown(host)


def fronts(config: Config) -> list[Option]:
    """Where visitors arrive at workers that do one thing at a time."""
    return [option for option in config.all(*HTTP) if is_tcp(option.value) and not config.all(*LOOPS)]


def hand_overs(config: Config) -> list[Route]:
    """The routes after which somebody else serves the connection. Only the first two tables can."""
    return [route for route in routes(config, "", "response") if route.hands_over]


def offload_threads(config: Config) -> int | None:
    return config.number(*OFFLOAD, default=0)


def django(config: Config) -> Option | None:
    """The line that names a Django project: its settings, or <package>/wsgi.py as startproject makes it."""
    for option in config.all(*APPS, "env"):
        folder, name = os.path.split(option.value)
        beside = os.path.abspath(folder) == os.path.dirname(os.path.abspath(option.file))
        if option.name == "env":
            found = option.value.startswith("DJANGO_SETTINGS_MODULE=")
        elif name == "wsgi.py":
            found = bool(folder) and not beside
        else:
            found = re.search(r"\w\.wsgi(:\w+)?$", option.value) is not None
        if found:
            return option
    return None


# --- the worker keeps what it should hand over


def hand_over_in_worker(config: Config) -> Found:
    if offload_threads(config) == 0:
        for route in routes(config, "", "response"):
            if route.hands_over or route.sends_file:
                yield route.option, f"{route.action}: is asked for, but there is no offload thread to do it"


def no_offload_threads(config: Config) -> Found:
    if offload_threads(config) == 0 and not any(True for _ in hand_over_in_worker(config)):
        for option in fronts(config):
            yield option, "a front without offload threads: its workers carry every byte themselves"


def nothing_handed_over(config: Config) -> Found:
    app = django(config)
    if app and fronts(config) and offload_threads(config) != 0 and not routes(config, "", "response"):
        option = config.last(*OFFLOAD)
        assert option is not None
        yield option, "no route hands a connection to these threads: they carry files, and nothing that Django streams"


def one_offload_thread(config: Config) -> Found:
    option = config.last(*OFFLOAD)
    if option and hand_overs(config) and offload_threads(config) == 1:
        yield option, "a single offload thread for open connections"


# --- headers, and who decides


def headers_twice(config: Config) -> Found:
    """A line above that stops the headers counts if it holds wherever the hand-over does: by its conditions, or because
    it is about a mark of its own ("said yes") that no hand-over asks for."""
    asked = {name for route in hand_overs(config) for name in route.variables}
    stops: list[Route] = []
    for route in routes(config, "response"):
        if route.action in ("disableheaders", "send", "send-crnl"):
            stops.append(route)
        covered = any(by_app(stop) <= by_app(route) or not stop.variables & asked for stop in stops)
        if route.hands_over and not covered:
            yield route.option, "hands over while the app's own headers are still to be sent"


def by_app(route: Route) -> set[str]:
    """The conditions that are about more than path and host."""
    return {one for one in route.conditions if one.removeprefix("else ").startswith(("if", "status"))}


def headers_lost(config: Config) -> Found:
    for route in routes(config, "response"):
        if route.action == "disableheaders" and not route.asks_app and not route.variables & collected(config):
            yield route.option, "drops the app's headers whatever it answered"


def collected(config: Config) -> set[str]:
    """The variables that the app's headers are kept in."""
    return {option.value.partition(" ")[2].strip() for option in config.all("collect-header", "pull-header")}


def request_variable(config: Config) -> Found:
    for option in config.all("collect-header", "pull-header"):
        header, _, variable = option.value.partition(" ")
        if is_request_variable(variable.strip()):
            yield option, f"keeps the answer's {header} in {variable.strip()}, where the request's own value stands"


def refusal_ignored(config: Config) -> Found:
    for route in routes(config, "response"):
        if route.hands_over and not route.asks_app and not route.variables & collected(config):
            yield route.option, "hands over without asking what the app answered"


def visitor_names_target(config: Config) -> Found:
    for route in routes(config, "", "response"):
        target = route.argument.split(",")[0] if route.hands_over else route.argument
        chosen = [name for name in variables_in(target) if is_request_variable(name)]
        if chosen and (route.hands_over or (route.sends_file and target.startswith("${" + chosen[0]))):
            yield route.option, f"the visitor chooses the target: ${{{chosen[0]}}} comes from the request"


def static_safe(config: Config) -> Found:
    option = config.last("static-safe")
    if option and any(route.sends_file and variables_in(route.argument) for route in routes(config, "response")):
        yield option, "looks as if it confined what the route below may send, and does not"


def honour_range(config: Config) -> Found:
    option = config.last("honour-range")
    if option and option.on and offload_threads(config) != 0:
        yield option, "ranges together with offload threads"


# --- limits


def small_buffer(config: Config) -> Found:
    """Cookies can fill the default as well, but that is the visitors' doing; here the app says that it sends more."""
    size = config.number("buffer-size", default=DEFAULT_BUFFER)
    if hand_overs(config) and size is not None and size <= DEFAULT_BUFFER:
        for option in [*config.all("buffer-size"), *config.all("collect-header", "pull-header")]:
            if option.name == "buffer-size" or CONTENT.search(option.value):
                yield option, f"all that the visitor sent and the app adds has to fit into {size} bytes"


def gevent_django(config: Config) -> Found:
    option, app = config.last(*LOOPS), django(config)
    if option and option.number != 0 and app:
        yield option, f"Django ({os.path.basename(app.value)}) in one thread for all visitors"


def late_monkey_patch(config: Config) -> Found:
    option = config.last("gevent-monkey-patch")
    driver = next((one for one in config.options if DRIVER.search(one.value)), None)
    if option and option.on and driver and not config.on("gevent-early-monkey-patch"):
        yield option, f"patches after the app was loaded, and line {driver.line} speaks of a database"


def recycling_cuts(config: Config) -> Found:
    if hand_overs(config) and offload_threads(config) != 0:
        for option in config.all(*RECYCLING):
            if option.on:
                yield option, "ends workers by itself, and offloaded connections live in workers"


def sigterm_reloads(config: Config) -> Found:
    master = config.last("master")
    if master and master.on and not config.on("die-on-term"):
        yield master, "a master without die-on-term"


# --- who may come in


def public_backend(config: Config) -> Found:
    for option in config.all(*SOCKETS):
        if is_public(option.value):
            yield option, f"listens on {option.value}, beyond this machine"


def public_stats(config: Config) -> Found:
    for option in config.all(*STATS):
        if is_public(option.value):
            yield option, f"the stats server listens on {option.value}, beyond this machine"


def predictable_socket(config: Config) -> Found:
    named = [(option, option.value) for option in config.all(*SOCKETS, *HTTP, *STATS)]
    named += [(route.option, route.argument.split(",")[0]) for route in hand_overs(config)]
    for option, path in named:
        if os.path.dirname(path) in SHARED_FOLDERS:
            yield option, f"{path} stands in a folder in which everybody may make files"


def open_socket(config: Config) -> Found:
    paths = [option for option in config.all(*SOCKETS) if not is_tcp(option.value)]
    for option in config.all("chmod-socket", "chmod"):
        if paths and (option.value in ("", "1") or re.fullmatch(r"[0-7]{2}[2367]", option.value)):
            yield option, "every user of this machine may connect"


# --- what hides a mistake


def no_need_app(config: Config) -> Found:
    app = config.last(*APPS)
    if app and not config.on("need-app"):
        yield app, "an app, and no need-app"


def no_strict(config: Config) -> Found:
    own = [option for option in config.options if option.file == config.file]
    if own and not config.on("strict"):
        yield own[0], "no strict = true"


def placeholder_kept(config: Config) -> Found:
    known = {option.name for option in config.options}
    for option in config.options:
        kept = re.search(r"%\(([^()]+)\)", option.value)
        if kept and not option.raw and kept[1] in known:
            yield option, f"{kept[0]} is not replaced here: uWSGI reads it to the letter"
