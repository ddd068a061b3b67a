"""gevent and what does not go with it."""

import os
import re

from offload_lab.uwsgi.config.model import Config, Option
from offload_lab.uwsgi.config.servers import LOOPS, django, may_be_django

from .model import Found, Match, rule

GRACEFUL = ("max-requests", "max-worker-lifetime", "reload-on-as", "reload-on-rss")  # the worker ends when it is idle
DRIVER = re.compile(r"psycopg|postgres|mysql|mariadb|DATABASE_URL|PGHOST", re.IGNORECASE)


def runs_gevent(config: Config) -> Option | None:
    """The option that says for how many requests."""
    loop = config.last("loop")
    return config.positive("gevent") or (config.positive("async") if loop and loop.value == "gevent" else None)


@rule(
    "gevent-threads",
    "error",
    effect="uWSGI makes room for as many requests as there are threads, and gevent takes more: workers crash or hang",
    cure="leave threads out: gevent alone serves the requests",
    issue="jrief/django-websocket-redis #34",
)
def gevent_threads(config: Config) -> Found:
    gevent, threads = runs_gevent(config), config.positive("threads")
    if gevent and threads and threads.number != 1:
        what = f"threads together with gevent ({gevent.place})"
        yield Match(threads, what, threads.value, (gevent,), level=None if threads.known else "warning")


@rule(
    "gevent-harakiri",
    "warning",
    effect="one request that takes longer kills the worker, and all connections that it holds end with it",
    cure="leave harakiri out of the process that streams; limit single requests in the app (gevent.Timeout)",
    issue="unbit/uwsgi #68",
)
def gevent_harakiri(config: Config) -> Found:
    gevent, harakiri = runs_gevent(config), config.positive("harakiri")
    if gevent and harakiri:
        yield Match(harakiri, "one time limit for a process that holds many connections", harakiri.value, (gevent,))


@rule(
    "gevent-recycling",
    "warning",
    effect="the worker stops to accept, waits for its last open request, and only then a new one starts",
    cure="leave it out of the process that streams",
)
def gevent_recycling(config: Config) -> Found:
    gevent = runs_gevent(config)
    for name in GRACEFUL:
        option = config.positive(name)
        if gevent and option:
            yield Match(option, "recycles a process that holds many connections", option.value, (gevent,))


@rule(
    "late-monkey-patch",
    "warning",
    effect="a driver that was imported before the patch blocks: one query, and all clients of the process wait for it",
    cure="gevent-early-monkey-patch = true, and a driver that cooperates",
)
def late_monkey_patch(config: Config) -> Found:
    option = config.last("gevent-monkey-patch")
    driver = next((line for line in config.options if DRIVER.search(line.value)), None)
    if option and option.on and driver and runs_gevent(config) and not config.on("gevent-early-monkey-patch"):
        yield Match(
            option, f"patches after the app was loaded, and line {driver.line} names a database", related=(driver,)
        )


@rule(
    "gevent-django",
    "warning",
    effect="all clients of the process share one thread: a query, lock or call that blocks it stops them all",
    cure="Django in plain processes; only what streams in a gevent app of its own, on a private socket",
)
def gevent_django(config: Config) -> Found:
    """A note where only the app's name makes one think of Django."""
    option, app = config.positive(*LOOPS), may_be_django(config)
    if option and app:
        sure = django(config)
        what = "Django" if sure else "an app that may be Django"
        what = f"{what} ({os.path.basename(app.value)}) in one thread for all clients"
        yield Match(option, what, option.value, (app,), level=None if sure else "note")
