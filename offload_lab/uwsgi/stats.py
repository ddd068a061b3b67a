"""What a uWSGI's stats server answers: the one reader of it, and the counters of its workers."""

import json
import os
import socket
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from offload_lab.errors import LabError
from offload_lab.process.deadlines import Deadline, readable

WITHIN_S = 5.0
HTTP = "http://"
GET = b"GET / HTTP/1.0\r\n\r\n"
SEE_CONFIG = "check that this uWSGI runs, and `stats` in its configuration"
OTHERS = {
    "vassals": "an Emperor's: name the stats server of a vassal",
    "nodes": "a router's: name the stats server of the uWSGI behind it",
    "cs_workers": "a router's: name the stats server of the uWSGI behind it",
    "subscriptions": "a router's: name the stats server of the uWSGI behind it",
}


class StatsError(LabError, OSError):
    """No usable answer from the stats server at `address`: why, and what to do. An OSError: the connection failed."""

    def __init__(self, address: str, why: str, advice: str) -> None:
        super().__init__(f"cannot read the stats server at {address}: {why}; {advice}")
        self.address, self.why, self.advice = address, why, advice


@dataclass(frozen=True)
class WorkerStats:
    """One worker's counters. `requests` and `offloaded` count since this worker was spawned."""

    pid: int
    status: str
    requests: int
    offloaded: int

    @property
    def busy(self) -> bool:
        return self.status == "busy"


def parse_workers(stats: dict[str, Any]) -> list[WorkerStats]:
    """The live workers in a stats server's answer; a worker that is being respawned has pid 0 and is left out."""
    return [
        WorkerStats(
            pid=worker["pid"],
            status=worker["status"],
            requests=worker["requests"],
            offloaded=sum(core["offloaded_requests"] for core in worker["cores"]),
        )
        for worker in stats["workers"]
        if worker["pid"]
    ]


def read_stats(address: str | Path, within_s: float = WITHIN_S) -> dict[str, Any]:
    """The whole answer of the stats server at a UNIX path, ``@abstract`` or ``HOST:PORT``; ``http://`` before it where
    that uWSGI has `stats-http`. `within_s` is for all of it.

    Raises: StatsError.
    """
    address = str(address)
    try:
        answer = ask(address, within_s)
    except FileNotFoundError:
        raise StatsError(address, "no such socket", SEE_CONFIG) from None
    except ConnectionRefusedError:
        raise StatsError(address, "nothing listens there", SEE_CONFIG) from None
    except PermissionError:
        user = f"its owner's user (sudo -u '#{os.stat(address).st_uid}')" if os.path.exists(address) else "its user"
        raise StatsError(address, "permission denied", f"run this as {user}, or as root") from None
    except TimeoutError:
        raise StatsError(address, f"no whole answer within {within_s:g} s", advice_for_silence(address)) from None
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or str(error)
        raise StatsError(address, why, "give a socket's path, or HOST:PORT") from error
    return parse(address, answer)


def advice_for_silence(address: str) -> str:
    if address.startswith(HTTP):
        return "is it the app's port? Give the one of `stats`"
    return f"it is not a stats server, or has `stats-http`: then write {HTTP}{address}"


def ask(address: str, within_s: float) -> bytes:
    """All bytes that the stats server sends.

    Raises: TimeoutError after `within_s` seconds, another OSError without a connection, ValueError for no port.
    """
    where = address.removeprefix(HTTP)
    if where != address and not is_path(where):
        where = where.rstrip("/")
    deadline = Deadline(within_s)
    answer = b""
    with connect(where, within_s) as connection:
        if where != address.rstrip("/"):
            connection.sendall(GET)
        while True:
            if not readable(connection, deadline.left()):
                raise TimeoutError
            if not (chunk := connection.recv(65536)):
                return answer
            answer += chunk


def is_path(where: str) -> bool:
    return where.startswith("@") or "/" in where or ":" not in where


def connect(where: str, within_s: float) -> socket.socket:
    """Raises: OSError without a connection, ValueError for a port that is none."""
    if not is_path(where):
        host, _, port = where.rpartition(":")
        if not port.isdecimal() or not 0 < int(port) < 65536:
            raise ValueError(f"{port!r} is not a port")
        return socket.create_connection((host.strip("[]") or "127.0.0.1", int(port)), timeout=within_s)
    connection = socket.socket(socket.AF_UNIX)
    try:
        connection.settimeout(within_s)
        connection.connect("\0" + where[1:] if where.startswith("@") else where)
    except BaseException:
        connection.close()
        raise
    return connection


def parse(address: str, answer: bytes) -> dict[str, Any]:
    """Raises: StatsError where `answer` is not the JSON of a uWSGI with workers."""
    if address.startswith(HTTP):
        answer = answer.partition(b"\r\n\r\n")[2] if answer.startswith(b"HTTP/") else answer
    if not answer:
        raise StatsError(address, "it closed without an answer", advice_for_silence(address))
    try:
        stats = json.loads(answer)
    except ValueError:
        start = answer[:40].decode(errors="replace")
        raise StatsError(
            address, f"it answered {start!r}, which is not a stats server's JSON", "give the address in `stats`"
        ) from None
    found = stats if isinstance(stats, dict) else {}
    for name, what in OTHERS.items():
        if name in found and "workers" not in found:
            raise StatsError(address, "these are not the stats of workers", f"they are {what}")
    if not isinstance(found.get("workers"), list) or not isinstance(found.get("sockets"), list):
        raise StatsError(address, "its JSON has no workers and sockets", "it is not the stats server of a uWSGI")
    return found
