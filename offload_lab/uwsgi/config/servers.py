"""What a configuration does: where it listens, what it runs, what it offloads."""

import os
import re

from .model import UNKNOWN, Config, Option
from .routes import Route, routes

SOCKETS = (
    "socket",
    "uwsgi-socket",
    "fastcgi-socket",
    "fastcgi-nph-socket",
    "scgi-socket",
    "scgi-nph-socket",
    "puwsgi-socket",
)
HTTP_SOCKETS = ("http-socket", "http11-socket", "https-socket")
ROUTERS = ("http", "https", "http2", "https2")
HTTP = (*HTTP_SOCKETS, *ROUTERS)
STATS = ("stats", "stats-server")
APPS = ("wsgi-file", "file", "module", "wsgi", "mount", "django", "wsgi-lite", "paste", "ini-paste", "eval", "pyrun")
OFFLOAD = ("offload-threads", "offload-thread")
LOOPS = ("gevent", "asyncio", "async", "greenlet", "tornado")
COLLECTS = ("collect-header", "pull-header")
STATIC = ("static-map", "static-map2", "check-static", "check-static-docroot", "fileserve-mode")
SHARED_FOLDERS = ("/tmp", "/var/tmp", "/dev/shm")  # noqa: S108 (that is what a rule is about)
RECYCLING = (
    "max-requests", "max-worker-lifetime", "reload-on-as", "reload-on-rss", "evil-reload-on-as", "evil-reload-on-rss",
    "py-auto-reload", "py-autoreload", "python-auto-reload", "python-autoreload", "cheaper", "idle",
    "reload-on-exception",
)  # fmt: skip
LONGEST_PATH = 102  # bytes that uWSGI copies of a UNIX socket's path


def is_tcp(value: str) -> bool:
    return ":" in value and not value.startswith(("/", "@"))


def host_of(value: str) -> str:
    return value.split(",")[0].rpartition(":")[0].strip("[]")


def is_public(value: str) -> bool:
    """A TCP address beyond this machine's loopback. uWSGI takes an empty host for all of the machine's addresses."""
    if not is_tcp(value) or UNKNOWN.match(value):
        return False
    return not re.fullmatch(r"127\.[\d.]+|localhost|::1", host_of(value))


def speaks_http(config: Config) -> bool:
    """Whether plain `socket`s speak HTTP: `protocol` changes what they are."""
    protocol = config.last("protocol", "socket-protocol")
    return protocol is not None and protocol.value.startswith("http")


def backend_sockets(config: Config) -> list[Option]:
    """Where another server connects. Its variables are trusted: user, address and all others."""
    names = SOCKETS if not speaks_http(config) else SOCKETS[1:]
    return config.all(*names)


def listens(config: Config) -> list[Option]:
    return config.all(*SOCKETS, *HTTP)


def fronts(config: Config) -> list[Option]:
    """Where clients arrive at workers that do one thing at a time."""
    names = HTTP if not speaks_http(config) else (*HTTP, "socket")
    return [option for option in config.all(*names) if is_tcp(option.value) and not config.positive(*LOOPS)]


def offloading_routes(config: Config) -> list[Route]:
    """The routes after which another server answers. Only the first two tables can."""
    return [route for route in routes(config, "", "response") if route.offloads]


def file_routes(config: Config) -> list[Route]:
    return [route for route in routes(config, "", "response") if route.sends_file]


def offload_threads(config: Config) -> int | None:
    return config.number(*OFFLOAD, default=0)


def offloads(config: Config) -> bool:
    """Whether there are offload threads, or may be."""
    return offload_threads(config) != 0


def offloaded(config: Config) -> str:
    """What is offloaded, as far as the configuration says so; empty where it does not."""
    if not offloads(config):
        return ""
    connections, files = offloading_routes(config), [*file_routes(config), *config.all(*STATIC)]
    if connections and files:
        return "connections and files"
    return "connections" if connections else "files" if files else ""


def collected(config: Config) -> dict[str, Option]:
    """The variables in which the app's headers are kept, each with its line."""
    return {option.value.partition(" ")[2].strip(): option for option in config.all(*COLLECTS) if " " in option.value}


def django(config: Config) -> Option | None:
    """The line that says so: Django's settings, or the option of that name. See `may_be_django`."""
    settings = (option for option in config.all("env") if option.value.startswith("DJANGO_SETTINGS_MODULE="))
    return next(settings, None) or config.last("django")


def may_be_django(config: Config) -> Option | None:
    """A line that names an app as startproject does: <package>/wsgi.py. Others call theirs so as well."""
    for option in config.all(*APPS):
        folder, name = os.path.split(option.value)
        beside = os.path.abspath(folder) == os.path.dirname(os.path.abspath(option.file))
        if re.search(r"\w\.wsgi(:\w+)?$", option.value) or (name == "wsgi.py" and folder and not beside):
            return option
    return django(config)
