"""A front and its backend: where the front connects, and where the backend listens."""

import re
from collections.abc import Iterator

from offload_lab.uwsgi.config.model import UNKNOWN, Config, Option
from offload_lab.uwsgi.config.routes import Route
from offload_lab.uwsgi.config.servers import HTTP, fronts, is_tcp, listens, offloading_routes, speaks_http

from .connections import targets
from .model import Found, Match, rule

SPEAKS = {"uwsgi": "uwsgi", "proxyuwsgi": "uwsgi", "http": "http", "proxyhttp": "http", "httpdumb": "http"}
DEFAULT_BUFFER = 4096


def meetings(front: Config, backend: Config) -> Iterator[tuple[Route, Option]]:
    """Each route of the front with the backend's socket that it goes to."""
    for route, target in targets(front):
        for option in listens(backend):
            if address(option.value) == address(target):
                yield route, option


def address(value: str) -> str:
    """The same for one port of this machine, however it is written."""
    host, colon, port = value.partition(",")[0].rpartition(":")
    local = colon and host.strip("[]") in ("", "0.0.0.0", "localhost", "127.0.0.1", "::", "::1")  # noqa: S104
    return f"127.0.0.1:{port}" if local else value.partition(",")[0]


def protocol_of(option: Option, config: Config) -> str:
    if option.name in HTTP or (option.name == "socket" and speaks_http(config)):
        return "http"
    return "uwsgi" if option.name in ("socket", "uwsgi-socket") else option.name.removesuffix("-socket")


@rule(
    "protocol-mismatch",
    "error",
    effect="the backend reads one protocol and gets the other: the client gets an empty reply",
    cure="uwsgi: to a socket, http: to a http-socket",
    sides=2,
)
def protocol_mismatch(front: Config, backend: Config) -> Found:
    for route, option in meetings(front, backend):
        spoken, wanted = SPEAKS.get(route.action, ""), protocol_of(option, backend)
        if spoken != wanted:
            what = f"speaks {spoken} to {option.value}, which wants {wanted} ({option.place})"
            yield Match(route.option, what, part=f"{route.action}:", related=(option,))


@rule(
    "buffer-mismatch",
    "warning",
    effect="a request that fits into the front's buffer may not fit into the backend's: an empty reply",
    cure="a buffer-size in the backend that is larger than the front's",
    sides=2,
)
def buffer_mismatch(front: Config, backend: Config) -> Found:
    sizes = [config.number("buffer-size", default=DEFAULT_BUFFER) for config in (front, backend)]
    for route, option in meetings(front, backend):
        if None not in sizes and (sizes[0] or 0) > (sizes[1] or 0):
            what = f"the backend takes {sizes[1]} bytes, and the front passes up to {sizes[0]} ({route.option.place})"
            set_in = backend.last("buffer-size")
            yield Match(set_in or option, what, related=(route.option,))
            return


@rule(
    "permission-mismatch",
    "error",
    effect="the front may not connect to the backend's socket: Permission denied, and the client gets an empty reply",
    cure="the same uid, or chmod-socket = 660 and a group of both (gid, chown-socket)",
    sides=2,
)
def permission_mismatch(front: Config, backend: Config) -> Found:
    """Only where both files say who they run as, and the socket's mode admits neither the front's group nor all."""
    ours, theirs = front.last("uid"), backend.last("uid")
    if (
        not ours
        or not theirs
        or ours.value == theirs.value
        or not (ours.known and theirs.known)
        or ours.value in ("root", "0")
    ):
        return
    mode, owner = socket_mode(backend), backend.last("chown-socket")
    if mode is None or mode & 0o002 or (owner and owner.value.split(":")[0] == ours.value):
        return
    groups = {option.value for option in (front.last("gid"), *front.all("add-gid")) if option}
    group = owner.value.partition(":")[2] if owner else getattr(backend.last("gid"), "value", "")
    if mode & 0o020 and (not groups or not group or group in groups):
        return
    for route, option in meetings(front, backend):
        if not is_tcp(option.value):
            what = (
                f"{option.value} ({option.place}) is {theirs.value}'s with mode {mode:03o}; the front is {ours.value}"
            )
            yield Match(route.option, what, related=(option, theirs, ours))


def socket_mode(config: Config) -> int | None:
    """What connecting needs: the mode that the socket gets."""
    chmod, umask = config.last("chmod-socket", "chmod"), config.last("umask")
    if chmod:
        if chmod.value in ("", "1"):
            return 0o666
        return int(chmod.value, 8) if re.fullmatch(r"[0-7]{3}", chmod.value) else None
    mask = umask.value if umask else "022"
    return 0o777 & ~int(mask, 8) if re.fullmatch(r"[0-7]{1,4}", mask) else None


@rule(
    "socket-mismatch",
    "warning",
    effect="the front connects to a socket that is not there: the client gets an empty reply, and the log says 200",
    cure="the same address in both files",
    sides=2,
)
def socket_mismatch(front: Config, backend: Config) -> Found:
    """Only for one front and one backend, named together, that meet nowhere."""
    goes, waits = targets(front), listens(backend)
    if not goes or not waits or fronts(backend) or offloading_routes(backend) or any(meetings(front, backend)):
        return
    if any(UNKNOWN.search(option.value) for option in waits):
        return
    route, target = goes[0]
    listed = " and ".join(dict.fromkeys(option.value for option in waits))
    yield Match(route.option, f"connects to {target}, and {backend.file} listens on {listed}", target, tuple(waits))
