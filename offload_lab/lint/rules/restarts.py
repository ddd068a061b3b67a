"""What ends workers, and with them the connections of their offload threads."""

from offload_lab.uwsgi.config.model import Config
from offload_lab.uwsgi.config.servers import RECYCLING, offloaded, offloading_routes

from .model import Found, Match, rule

RELOADS = (
    "touch-reload", "py-auto-reload", "py-autoreload", "python-auto-reload", "python-autoreload", "fs-reload",
    "fs-brutal-reload",
)  # fmt: skip


@rule(
    "recycling-cuts",
    "warning",
    effect="a replaced worker's offload threads end, and their connections are cut: streams end, downloads break off",
    cure="leave it out of the front, and let clients continue where they were (Last-Event-ID, Range)",
    issue="unbit/uwsgi #1893",
)
def recycling_cuts(config: Config) -> Found:
    carried = offloaded(config)
    for option in config.all(*RECYCLING) if carried else []:
        if option.on:
            yield Match(option, f"replaces workers by itself, and their offload threads have {carried}")


@rule(
    "harakiri-ends-streams",
    "note",
    effect="one stuck request ends its worker, and all streams and downloads of its offload threads",
    cure="keep it where it must free stuck workers; clients continue where they were (Last-Event-ID, Range)",
)
def harakiri_ends_streams(config: Config) -> Found:
    harakiri, carried = config.positive("harakiri"), offloaded(config)
    if harakiri and carried and not config.positive("gevent"):
        yield Match(harakiri, f"a time limit in a front whose offload threads have {carried}")


@rule(
    "sigterm-reloads",
    "warning",
    effect="a stop by systemd, Docker or a supervisor reloads instead: streams are cut, a kill follows",
    cure="die-on-term = true",
)
def sigterm_reloads(config: Config) -> Found:
    master = config.last("master")
    if master and master.on and offloading_routes(config) and not ends_on_sigterm(config):
        yield Match(master, "a master without die-on-term")


@rule(
    "no-die-on-term",
    "hygiene",
    effect="SIGTERM reloads instead of ending: a stop by systemd, Docker or a supervisor takes until its timeout",
    cure="die-on-term = true",
)
def no_die_on_term(config: Config) -> Found:
    master = config.last("master")
    if master and master.on and not offloading_routes(config) and not ends_on_sigterm(config):
        yield Match(master, "no die-on-term")


def ends_on_sigterm(config: Config) -> bool:
    return config.on("die-on-term", "exit-on-reload") or any(
        "sigterm" in option.value for option in config.all("hook-master-start")
    )


@rule(
    "wheel-reload",
    "note",
    effect="the pyuwsgi wheel in a virtual environment does not survive this reload: No module named 'pyuwsgi'",
    cure="binary-path = /path/to/the/venv/bin/python3",
)
def wheel_reload(config: Config) -> Found:
    found = [option for option in config.all(*RELOADS) if option.on]
    if found and not config.all("binary-path"):
        what = "starts uWSGI anew, and binary-path does not say which program that is"
        yield Match(found[0], what, related=tuple(found[1:]))
