"""Which users and hosts can connect to the sockets."""

import os
import re

from offload_lab.uwsgi.config.model import UNKNOWN, Config
from offload_lab.uwsgi.config.servers import (
    SHARED_FOLDERS,
    STATS,
    backend_sockets,
    is_public,
    is_tcp,
    listens,
    offloading_routes,
)

from .model import Found, Match, rule


@rule(
    "public-backend",
    "warning",
    effect="a program that reaches it can claim any user and any address: the front's checks are not asked",
    cure="a UNIX socket or 127.0.0.1; between hosts or containers, admit only the front (firewall, private network) "
    "and write above the line: ; lint: ignore public-backend REASON",
)
def public_backend(config: Config) -> Found:
    for option in backend_sockets(config):
        if is_public(option.value):
            yield Match(option, f"listens on {option.value}, beyond this machine", part=option.value)


@rule(
    "public-stats",
    "warning",
    effect="it shows the running requests with their cookies: enough to take over a session",
    cure="a UNIX socket in a folder of your own, or 127.0.0.1",
)
def public_stats(config: Config) -> Found:
    for option in config.all(*STATS):
        if is_public(option.value):
            yield Match(option, f"the stats server listens on {option.value}, beyond this machine", part=option.value)


@rule(
    "open-stats",
    "warning",
    effect="chmod-socket opens the stats socket too: each user of the machine reads the cookies of running requests",
    cure="chmod-socket = 660 with a group that you share with the front, or stats on 127.0.0.1",
)
def open_stats(config: Config) -> Found:
    stats = [option for option in config.all(*STATS) if option.value and not is_tcp(option.value)]
    for option in config.all("chmod-socket", "chmod") if stats else []:
        if opens_to_all(option.value):
            yield Match(option, f"opens {stats[0].value} too", part=option.value, related=(stats[0],))


@rule(
    "open-socket",
    "warning",
    effect="each user of the machine can connect, and then claim any user and any address",
    cure="chmod-socket = 660 and a group that you share with the front, or no chmod-socket at all",
)
def open_socket(config: Config) -> Found:
    paths = [
        option for option in backend_sockets(config) if not is_tcp(option.value) and not UNKNOWN.match(option.value)
    ]
    for option in config.all("chmod-socket", "chmod") if paths else []:
        if opens_to_all(option.value):
            yield Match(option, f"opens {paths[0].value} to all", part=option.value, related=(paths[0],))


def opens_to_all(mode: str) -> bool:
    return mode in ("", "1") or re.fullmatch(r"[0-7]{2}[2367]", mode) is not None


@rule(
    "predictable-socket",
    "warning",
    effect="another user of the machine can make it first, and receives what clients send, cookies included",
    cure="a folder that only your user can enter: umask = 077, and below /run or beside the project",
)
def predictable_socket(config: Config) -> Found:
    named = [(option, option.value) for option in [*listens(config), *config.all(*STATS)]]
    named += [(route.option, route.argument.split(",")[0]) for route in offloading_routes(config)]
    for option, path in named:
        if os.path.dirname(path) in SHARED_FOLDERS:
            yield Match(option, f"{path} is in a folder in which all users may make files", part=path)
