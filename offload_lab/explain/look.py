"""A running stage into facts."""

import os
import socket
import time
from collections.abc import Iterator
from contextlib import suppress
from itertools import pairwise
from pathlib import Path
from typing import Any

import psutil

from ..errors import LabError
from ..lint import Config, parse
from ..lint.routes import routes
from ..lint.servers import LOOPS, OFFLOAD, offload_threads
from ..manifest import Step, Variant
from ..uwsgi import read_stats
from .facts import Connection, End, Facts, Request, Server, Wait, Worker
from .threads import Blocked, blocked_threads, thread_ids

HELD = {psutil.CONN_ESTABLISHED, psutil.CONN_CLOSE_WAIT}


# --- which one


def find_run(step: Step, variant: Variant) -> Path:
    """The run folder of a running `variant`, from the command lines of our own user's processes. Raises LabError where
    there is none, or more than one."""
    front = step.folder / variant.inis[-1]
    found = sorted({run for ini, run in running(step) if ini == front.resolve() and answers(run, front)})
    again = f"./lab explain {step.number} {variant.name}"
    if not found:
        start = f"./lab run {step.number} {variant.name}"
        raise LabError(f"{step.name} {variant.name} is not running; start it in another terminal: {start}")
    if len(found) > 1:
        choices = "".join(f"\n    {again} --run {run}" for run in found)
        raise LabError(f"{step.name} {variant.name} runs {len(found)} times; choose one:{choices}")
    return found[0]


def running(step: Step) -> Iterator[tuple[Path, Path]]:
    """INI and run folder of every process of ours whose command line names one."""
    for process in psutil.process_iter():
        with suppress(psutil.Error, OSError):
            if process.uids().real == os.getuid():
                yield from named_in(process.cmdline(), Path(process.cwd()), step)


def named_in(words: list[str], cwd: Path, step: Step) -> Iterator[tuple[Path, Path]]:
    run = step.folder / ".run"  # as the INIs have it
    for word in words:
        name, _, value = word.removeprefix("--set-placeholder=").partition("=")
        if name == "run":
            run = cwd / value
    for word in words:
        if word.endswith(".ini"):
            yield (cwd / word.removeprefix("--ini=")).resolve(), run.resolve()


def answers(run: Path, ini: Path) -> bool:
    try:
        read_stats(stats_socket(run, ini))
    except OSError:
        return False
    return True


def stats_socket(run: Path, ini: Path) -> Path:
    return run / f"{ini.stem}-stats.sock"


# --- what it does


def look(step: Step, variant: Variant, run: Path) -> Facts:
    """The facts of this moment. Raises LabError where the variant does not run in `run`."""
    servers = []
    connections: list[Connection] = []
    for name in variant.inis:
        ini = step.folder / name
        try:
            stats = read_stats(stats_socket(run, ini))
        except OSError as error:
            reason = getattr(error, "strerror", None) or error
            raise LabError(f"{name} of {step.name} {variant.name} does not answer in {run}: {reason}") from error
        config = parse(str(ini), lambda path: Path(path).read_text(errors="replace"), os.environ)
        bound = bound_socket(stats)
        port = int(bound["name"].rpartition(":")[2]) if ":" in bound["name"] else None
        pids = [row["pid"] for row in stats["workers"] if row["pid"]]
        threads = {pid: blocked_threads(pid) for pid in pids}
        if name == variant.inis[-1] and port:
            connections = visitors(port, threads)
        servers.append(
            Server(
                ini.stem,
                f"http://{bound['name']}" if port else bound["name"],
                tuple(worker(row, config, port, threads[row["pid"]]) for row in stats["workers"] if row["pid"]),
                hands_over=any(route.hands_over or route.sends_file for route in routes(config, "", "response")),
                in_greenlets=bool(config.all(*LOOPS)),
                queue_room=bound["max_queue"],
            )
        )
    return Facts(step.name, variant.name, tuple(servers), tuple(connections))


def bound_socket(stats: dict[str, Any]) -> dict[str, Any]:
    """The one for visitors: HTTP before uWSGI's own protocol."""
    sockets: list[dict[str, Any]] = stats["sockets"]
    return min(sockets, key=lambda one: one["proto"] != "http", default={"name": "", "max_queue": 0})


def worker(row: dict[str, Any], config: Config, port: int | None, threads: dict[int, Blocked]) -> Worker:
    pid = row["pid"]
    others = thread_ids(pid)[1:]
    number = offload_threads_of(command_line(pid), config)
    unknown = number is None or len(others) < number  # the second where the system does not list threads
    main = threads.get(pid)
    return Worker(
        pid,
        row["status"] == "busy",
        cores=len(row["cores"]),
        requests=tuple(request(core) for core in row["cores"] if core["in_request"]),
        offload_tids=() if unknown else tuple(others[:number]),
        wait=wait_of(main, ends(pid, port)) if main else None,
        threads_unknown=unknown,
    )


def offload_threads_of(words: list[str], config: Config) -> int | None:
    """What the command line says, in `words`, counts after the file; None where only uWSGI knows the number."""
    for word, after in pairwise([*words, ""]):
        option, is_here, value = word.removeprefix("--").partition("=")
        if word.startswith("--") and option in OFFLOAD:
            value = value if is_here else after
            return int(value) if value.isdecimal() else None
    return offload_threads(config)


def command_line(pid: int) -> list[str]:
    with suppress(psutil.Error):
        return psutil.Process(pid).cmdline()
    return []


def request(core: dict[str, Any]) -> Request:
    variables = dict(variable.partition("=")[::2] for variable in core["vars"])
    started = core["req_info"].get("request_start", 0)
    since_s = max(0, int(time.time() - started)) if started else 0
    return Request(variables.get("REQUEST_METHOD", "?"), variables.get("PATH_INFO", "?"), since_s)


def wait_of(blocked: Blocked, ends: dict[int, End]) -> Wait | None:
    known = [ends[fd] for fd in sorted(blocked.fds) if fd in ends]
    for end in ("visitor", "backend", "nobody yet"):
        if end in known:
            return Wait(blocked.verb, end)
    return None


def ends(pid: int, port: int | None) -> dict[int, End]:
    """Who is at the other end of a worker's descriptors; it listens on `port`. A UNIX socket without a name is one that
    it connected itself, to the app behind."""
    found: dict[int, End] = {}
    with suppress(psutil.Error):
        for one in psutil.Process(pid).net_connections("all"):
            if one.family == socket.AF_UNIX:
                if one.type == socket.SOCK_STREAM and not one.laddr:
                    found[one.fd] = "backend"
            elif one.status == psutil.CONN_LISTEN:
                found[one.fd] = "nobody yet"
            elif one.raddr:
                found[one.fd] = "visitor" if one.laddr.port == port else "backend"
    return found


def visitors(port: int, threads: dict[int, dict[int, Blocked]]) -> list[Connection]:
    """Those that a worker has, then those that the kernel keeps until one accepts them."""
    found: dict[Any, Connection] = {}
    for pid, blocked in threads.items():
        watching = {fd: tid for tid, one in blocked.items() for fd in one.fds}
        with suppress(psutil.Error):
            for one in psutil.Process(pid).net_connections("tcp"):
                if at_port(one, port):
                    found[one.raddr] = Connection(address(one), pid, watching.get(one.fd), has_left(one))
    for any_one in all_connections():
        if at_port(any_one, port) and any_one.raddr not in found and any_one.pid is None:
            found[any_one.raddr] = Connection(address(any_one), left=has_left(any_one))
    return list(found.values())


def all_connections() -> list[Any]:
    """The whole machine's, those that no process has accepted among them; none where only root may ask (macOS)."""
    with suppress(psutil.AccessDenied):
        return list(psutil.net_connections("tcp"))
    return []


def at_port(one: Any, port: int) -> bool:
    return bool(one.raddr) and one.laddr.port == port and one.status in HELD


def address(one: Any) -> str:
    return f"{one.raddr.ip}:{one.raddr.port}"


def has_left(one: Any) -> bool:
    return bool(one.status == psutil.CONN_CLOSE_WAIT)
