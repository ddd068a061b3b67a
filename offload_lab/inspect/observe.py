"""A running uWSGI into facts: its stats server, its configuration, /proc."""

import ipaddress
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil

from offload_lab.errors import LabError
from offload_lab.stages.step import Step, Variant
from offload_lab.system import NOT_TOLD, is_linux
from offload_lab.uwsgi.config.model import Config
from offload_lab.uwsgi.config.routes import routes
from offload_lab.uwsgi.config.servers import LOOPS, offload_threads
from offload_lab.uwsgi.stats import HTTP, StatsError, is_path, read_stats

from .kernel_sockets import Socket, is_at
from .reader import Reader
from .runs import stats_socket
from .snapshot import ENDED, Connection, End, Listener, Request, Server, Snapshot, Wait, Worker
from .threads import Blocked, thread_ids

ANEW = Reader()
CAN_OFFLOAD = {"http", "uwsgi"}  # the protocols whose sockets tell of it
OTHER_MACHINE = "its processes are not here: another machine, or a container"
NO_PROCESS = "no process of its workers is here: another machine, a container, or they ended in this moment"
OTHER_USER = "its processes may not be read: run this as their user, or as root"


def take_snapshot(step: Step, variant: Variant, run: Path, front_only: bool = False) -> Snapshot:
    """The facts of this moment.

    Raises: LabError where the variant does not run in `run`.
    """
    servers = []
    connections: list[Connection] = []
    for name in variant.inis[-1:] if front_only else variant.inis:
        ini = step.folder / name
        try:
            stats = read_stats(stats_socket(run, ini))
        except StatsError as error:
            raise LabError(f"{name} of {step.name} {variant.name} does not answer in {run}: {error.why}") from error
        server, connections = look_at(stats, ini.stem)  # the last is the front
        servers.append(server)
    return Snapshot(step.name, variant.name, tuple(servers), tuple(connections))


def take_snapshot_at(address: str) -> Snapshot:
    """The facts of any uWSGI, by its stats server.

    Raises: StatsError.
    """
    stats = read_stats(address)
    server, connections = look_at(stats, f"uWSGI {stats.get('version', '?')} at {address}", is_local(address))
    return Snapshot("", "", (server,), tuple(connections))


def is_local(address: str) -> bool:
    """Whether the process ids that this stats server shows may be this machine's."""
    where = address.removeprefix(HTTP)
    host = where.rpartition(":")[0].strip("[]")
    with suppress(ValueError):
        return is_path(where) or ipaddress.ip_address(host or "127.0.0.1").is_loopback
    return host == "localhost"


def look_at(
    stats: dict[str, Any], name: str, local: bool = True, reader: Reader = ANEW
) -> tuple[Server, list[Connection]]:
    rows = [row for row in stats["workers"] if row["pid"]]
    pids = [row["pid"] for row in rows]
    kin = [is_worker_of(pid, stats["pid"]) for pid in pids]
    here = local and False not in kin and (True in kin or not kin)
    config = reader.configuration(stats["pid"], min((row["last_spawn"] for row in rows), default=0)) if here else None
    table = reader.sockets([stats["pid"], *pids]) if here else []
    opened = {pid: reader.open_sockets(pid) if here else None for pid in pids}
    ended = {pid for pid, inodes in opened.items() if here and inodes is None and has_ended(pid)}
    unreadable = any(inodes is None for pid, inodes in opened.items() if pid not in ended)
    unseen = not_seen(here, unreadable) if here or False in kin or not local else NO_PROCESS
    threads = {pid: {} if unseen or pid in ended else reader.threads(pid) for pid in pids}
    number = offload_thread_count(stats, config)
    bound = bound_socket(stats)
    listeners = tuple(listener(row) for row in stats["sockets"])
    by_inode = {socket.inode: socket for socket in table if socket.accepted}
    server = Server(
        name,
        f"http://{bound['name']}" if ":" in bound["name"] and bound["proto"] == "http" else bound["name"],
        tuple(
            worker(row, number, listeners, opened[row["pid"]] or {}, by_inode, threads[row["pid"]])
            if not unseen and row["pid"] not in ended
            else from_stats(row, number, unseen or ENDED)
            for row in rows
        ),
        routes_offload=None if config is None else any_route_offloads(config),
        in_greenlets=in_greenlets(config, rows),
        queue_room=bound["max_queue"],
        listeners=listeners,
    )
    return server, with_those_of_workers(connections(table, opened, listeners, threads), server)


def is_worker_of(pid: int, master: int) -> bool | None:
    """False where the process ids are those of another machine or container, None where there is no such process."""
    try:
        return pid == master or psutil.Process(pid).ppid() == master
    except psutil.Error:
        return None


def has_ended(pid: int) -> bool:
    """Between the stats server's answer and now."""
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def not_seen(here: bool, unreadable: bool) -> str:
    if not here:
        return OTHER_MACHINE
    if not is_linux():
        return NOT_TOLD
    return OTHER_USER if unreadable else ""


def bound_socket(stats: dict[str, Any]) -> dict[str, Any]:
    """The one for clients: HTTP before uWSGI's own protocol."""
    found: list[dict[str, Any]] = stats["sockets"]
    return min(found, key=lambda row: row["proto"] != "http", default={"name": "", "max_queue": 0, "proto": ""})


def listener(row: dict[str, Any]) -> Listener:
    """uWSGI counts what waits at TCP sockets only."""
    is_tcp = not is_path(row["name"])
    return Listener(row["name"], row["proto"], row["queue"] if is_tcp else None, row["max_queue"])


def any_route_offloads(config: Config) -> bool:
    return any(route.offloads or route.sends_file for route in routes(config, "", "response"))


def in_greenlets(config: Config | None, rows: Sequence[dict[str, Any]]) -> bool | None:
    if config:
        return bool(config.all(*LOOPS))
    return False if all(len(row["cores"]) == 1 for row in rows) else None


def offload_thread_count(stats: dict[str, Any], config: Config | None) -> int | None:
    """How many offload threads a worker has; None where only uWSGI knows the number."""
    can_offload = [row["can_offload"] for row in stats["sockets"] if row["proto"] in CAN_OFFLOAD]
    if can_offload and not any(can_offload):
        return 0
    return offload_threads(config) if config else None


def from_stats(row: dict[str, Any], number: int | None, unseen: str = "") -> Worker:
    """A worker as the stats server alone shows it."""
    return Worker(
        row["pid"],
        row["status"] == "busy",
        cores=len(row["cores"]),
        requests=tuple(request(core) for core in row["cores"] if core["in_request"]),
        threads_unknown=number != 0,
        number=row["id"],
        offloaded=sum(core["offloaded_requests"] for core in row["cores"]),
        unseen=unseen,
    )


def worker(
    row: dict[str, Any],
    number: int | None,
    listeners: Sequence[Listener],
    opened: dict[int, int],
    by_inode: dict[int, Socket],
    threads: dict[int, Blocked],
) -> Worker:
    pid = row["pid"]
    here = {fd: by_inode[inode] for fd, inode in opened.items() if inode in by_inode}
    alike = tuple(tid for tid, blocked in threads.items() if tid != pid and waits_as_offload_thread(blocked, here))
    other_tids = tuple(thread_ids(pid)[1:])
    offload = other_tids if number == len(other_tids) else alike if number == len(alike) else other_tids[: number or 0]
    unknown = number is None or len(other_tids) < number
    main = threads.get(pid)
    return replace(
        from_stats(row, number),
        offload_tids=() if unknown else tuple(sorted(offload)),
        like_offload_tids=tuple(sorted(alike)) if unknown else (),
        wait=wait_of(main, {fd: end(socket, listeners) for fd, socket in here.items()}) if main else None,
        threads_unknown=unknown,
    )


def waits_as_offload_thread(blocked: Blocked, here: dict[int, Socket]) -> bool:
    """uWSGI gives each offload thread an epoll set and a SOCK_SEQPACKET pair (uwsgi_thread_new); no other thread of a
    worker has these and no listening socket."""
    watched = [here[fd] for fd in blocked.fds if fd in here]
    return any(socket.kind == "seqpacket" for socket in watched) and not any(
        socket.state == "listening" for socket in watched
    )


def request(core: dict[str, Any]) -> Request:
    variables = dict(variable.partition("=")[::2] for variable in core["vars"])
    started = core.get("req_info", {}).get("request_start", 0)
    since_s = max(0, int(time.time() - started)) if started else 0
    return Request(variables.get("REQUEST_METHOD", "?"), variables.get("PATH_INFO", "?"), since_s)


def wait_of(blocked: Blocked, ends: dict[int, End | None]) -> Wait | None:
    known = [ends[fd] for fd in sorted(blocked.fds) if fd in ends]
    for whose in ("client", "backend", "none yet"):
        if whose in known:
            return Wait(blocked.verb, whose)
    return None


def end(socket: Socket, listeners: Sequence[Listener]) -> End | None:
    """Who is at the other end of a worker's socket. A UNIX stream without a name is one that it connected itself."""
    if socket.state == "listening":
        return "none yet"
    if any(is_at(socket, listener.name) for listener in listeners):
        return "client"
    if socket.kind == "seqpacket":
        return None
    return "backend" if socket.kind == "tcp" or not socket.local else None


def connections(
    table: Sequence[Socket],
    opened: dict[int, dict[int, int] | None],
    listeners: Sequence[Listener],
    threads: dict[int, dict[int, Blocked]],
) -> list[Connection]:
    """Those that a worker has, then those whose process is not known, then those that none has accepted."""
    owners = {inode: (pid, fd) for pid, inodes in opened.items() for fd, inode in (inodes or {}).items()}
    watching = {
        (pid, fd): tid for pid, found in threads.items() for tid, blocked in found.items() for fd in blocked.fds
    }
    names = [listener.name for listener in listeners]
    found = []
    for socket in table:
        if socket.state in ("open", "close-wait") and any(is_at(socket, name) for name in names):
            owner = owners.get(socket.inode)
            pid = owner[0] if owner else None
            client = socket.remote or f"of {socket.local}"
            tid = watching.get(owner) if owner else None
            found.append(Connection(client, pid, tid, socket.state == "close-wait", socket.accepted))
    return sorted(found, key=lambda connection: (connection.pid is None, not connection.accepted))


def with_those_of_workers(found: Sequence[Connection], server: Server) -> list[Connection]:
    """A worker that answers one request at a time holds one connection itself while it is busy: where that was seen on
    no thread, and only one was not, it is that one."""
    own = set()
    for worker in server.workers:
        mine = [connection for connection in found if connection.pid == worker.pid]
        unseen = [connection for connection in mine if connection.tid is None]
        if (
            worker.busy
            and worker.cores == 1
            and len(unseen) == 1
            and all(connection.tid != worker.pid for connection in mine)
        ):
            own.add(unseen[0])
    return [replace(connection, tid=connection.pid) if connection in own else connection for connection in found]
