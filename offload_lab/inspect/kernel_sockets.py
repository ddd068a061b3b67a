"""The kernel's sockets: one read for all connections of a server, over sock_diag(7) or from /proc/net; elsewhere what
psutil shows.

A connection that no process has accepted has no inode; one of a process that may not be read has one.
"""

import ipaddress
import os
import re
import socket
import sys
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Literal

import psutil

from offload_lab.system import is_linux

from . import sock_diag

Kind = Literal["tcp", "stream", "seqpacket"]
State = Literal["listening", "open", "close-wait", "other"]
TCP_STATES: dict[int, State] = {1: "open", 8: "close-wait", 10: "listening"}  # net/tcp_states.h
PSUTIL_STATES: dict[str, State] = {
    psutil.CONN_ESTABLISHED: "open", psutil.CONN_CLOSE_WAIT: "close-wait", psutil.CONN_LISTEN: "listening",
}  # fmt: skip
UNIX_CONNECTING, UNIX_CONNECTED = 2, 3  # linux/net.h
UNIX_LISTENS = 0x10000
UNIX_KINDS: dict[str, Kind] = {"0001": "stream", "0005": "seqpacket"}
IN_FD = re.compile(r"socket:\[(\d+)\]")


@dataclass(frozen=True)
class Socket:
    """`local` is what a listener is bound to, ``127.0.0.1:9090`` or a path; empty for a pair or a UNIX client. A
    connection in `close-wait` was closed by its client."""

    kind: Kind
    local: str
    remote: str
    state: State
    inode: int = 0

    @property
    def accepted(self) -> bool:
        return self.inode != 0

    @property
    def ports(self) -> tuple[int, ...]:
        """The local port and the remote one of a TCP connection; 0 for a listener's remote one."""
        return tuple(int(end.rpartition(":")[2] or 0) for end in (self.local, self.remote))


def sockets(pids: Sequence[int]) -> list[Socket]:
    """Every socket in the network namespace of these processes; on other systems their own, if they may be read."""
    if not is_linux():
        return [found for pid in pids for _, found in from_psutil(pid)]
    unix = (parse_unix(line) for line in lines_of(Path(f"/proc/{pids[0]}/net/unix")))
    return [*tcp_sockets(pids[0]), *(socket for socket in unix if socket)]


def tcp_sockets(pid: int) -> list[Socket]:
    """Every TCP socket in the network namespace of `pid`. Linux only."""
    found = None
    with suppress(OSError):  # another user's process, or a kernel without sock_diag
        if Path(f"/proc/{pid}/ns/net").samefile("/proc/self/ns/net"):
            found = [from_sock_diag(row) for row in sock_diag.dump()]
    if found is None:
        found = from_proc(pid)
    return list({(socket.local, socket.remote): socket for socket in found}.values())  # a changing list repeats rows


def open_sockets(pid: int) -> dict[int, int] | None:
    """The inode of each descriptor that is a socket; None where the process is gone or may not be read."""
    if not is_linux():
        return {fd: known.inode for fd, known in from_psutil(pid)}
    found = {}
    try:
        names = os.listdir(f"/proc/{pid}/fd")
    except OSError:
        return None
    for name in names:
        with suppress(OSError):
            if match := IN_FD.match(os.readlink(f"/proc/{pid}/fd/{name}")):
                found[int(name)] = int(match[1])
    return found


def sockets_of(pid: int) -> dict[int, Socket]:
    """The sockets that `pid` has open, by descriptor; empty where it is gone or may not be read."""
    if not is_linux():
        return dict(from_psutil(pid))
    by_inode = {socket.inode: socket for socket in sockets([pid])}
    return {fd: by_inode[inode] for fd, inode in (open_sockets(pid) or {}).items() if inode in by_inode}


def lines_of(path: Path) -> list[str]:
    with suppress(OSError):
        return path.read_text(errors="replace").splitlines()[1:]
    return []


def from_sock_diag(row: sock_diag.TcpSocket) -> Socket:
    local, remote = (f"{host_of(host)}:{port}" for host, port in (row.local, row.remote))
    return Socket("tcp", local, remote, TCP_STATES.get(row.state, "other"), row.inode)


def from_proc(pid: int) -> list[Socket]:
    return [parse_tcp(line) for name in ("tcp", "tcp6") for line in lines_of(Path(f"/proc/{pid}/net/{name}"))]


def parse_tcp(line: str) -> Socket:
    """A line of /proc/net/tcp or /proc/net/tcp6."""
    fields = line.split(None, 10)
    state = TCP_STATES.get(int(fields[3], 16), "other")
    return Socket("tcp", address(fields[1]), address(fields[2]), state, int(fields[9]))


def parse_unix(line: str) -> Socket | None:
    """A line of /proc/net/unix; None for datagrams."""
    fields = line.split(None, 7)
    kind, inode = UNIX_KINDS.get(fields[4]), int(fields[6])
    if kind is None:
        return None
    open_ = int(fields[5], 16) == (UNIX_CONNECTED if inode else UNIX_CONNECTING)
    state: State = "listening" if int(fields[3], 16) & UNIX_LISTENS else "open" if open_ else "other"
    return Socket(kind, fields[7] if len(fields) > 7 else "", "", state, inode)


def address(text: str) -> str:
    """``0100007F:4AA0`` as ``127.0.0.1:19104``. The kernel prints 32 bits at a time, in the machine's byte order."""
    host, _, port = text.partition(":")
    groups = [int(host[at : at + 8], 16).to_bytes(4, sys.byteorder) for at in range(0, len(host), 8)]
    return f"{host_of(b''.join(groups))}:{int(port, 16)}"


@lru_cache(1024)
def host_of(raw: bytes) -> str:
    """IPv4 within IPv6 as IPv4."""
    found = ipaddress.ip_address(raw)
    if isinstance(found, ipaddress.IPv6Address):
        return str(found.ipv4_mapped or f"[{found}]")
    return str(found)


def is_at(connection: Socket, listener: str) -> bool:
    """Whether a connection came to `listener`, as uWSGI names it: a path, ``HOST:PORT``, or ``:PORT``."""
    if connection.kind != "tcp":
        return connection.local == listener
    host, _, port = listener.rpartition(":")
    its_host, _, its_port = connection.local.rpartition(":")
    return port == its_port and host in ("", "0.0.0.0", "[::]", its_host)  # noqa: S104 (nothing is bound here)


def from_psutil(pid: int) -> Iterator[tuple[int, Socket]]:
    """What psutil shows of `pid` by descriptor; process and descriptor take the place of the inode."""
    with suppress(psutil.Error):
        for row in psutil.Process(pid).net_connections("all"):
            if row.family == socket.AF_UNIX:
                if row.type == socket.SOCK_STREAM:
                    yield row.fd, Socket("stream", str(row.laddr or ""), "", "open", pid << 32 | row.fd)
            else:
                local, remote = ("{}:{}".format(*end) if end else "" for end in (row.laddr, row.raddr))
                yield row.fd, Socket("tcp", local, remote, PSUTIL_STATES.get(row.status, "other"), pid << 32 | row.fd)
