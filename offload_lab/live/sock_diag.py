"""The kernel's TCP sockets over netlink, sock_diag(7): a tenth of what reading /proc/net/tcp costs, which walks over an
hash table that is as large as the machine."""

import socket
import struct
from collections.abc import Iterator

from offload_lab.inspect.kernel_sockets import Socket, State

NETLINK_SOCK_DIAG, SOCK_DIAG_BY_FAMILY = 4, 20  # linux/netlink.h, linux/sock_diag.h
NLM_F_REQUEST_DUMP = 0x301
NLMSG_ERROR, NLMSG_DONE = 2, 3
STATES: dict[int, State] = {1: "open", 8: "close-wait", 10: "listening"}  # TCP_ESTABLISHED, TCP_CLOSE_WAIT, TCP_LISTEN
HEADER = struct.Struct("=IHHII")
REQUEST = struct.Struct("=BBBxI48x")
ADDRESS_BYTES = {socket.AF_INET: 4, socket.AF_INET6: 16}
PORTS_AT, LOCAL_AT, REMOTE_AT, INODE_AT = 20, 24, 40, 84  # in a message, its header included


def tcp_sockets() -> list[Socket]:
    """Those that listen, are open, or that the client has closed. Raises OSError where the kernel has no sock_diag."""
    return [one for family in ADDRESS_BYTES for one in dump(family)]


def dump(family: int) -> Iterator[Socket]:
    request = REQUEST.pack(family, socket.IPPROTO_TCP, 0, sum(1 << state for state in STATES))
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_SOCK_DIAG) as kernel:
        kernel.send(HEADER.pack(HEADER.size + len(request), SOCK_DIAG_BY_FAMILY, NLM_F_REQUEST_DUMP, 1, 0) + request)
        while True:
            answer, at = kernel.recv(1 << 18), 0
            while at < len(answer):
                size, kind, *_ = HEADER.unpack_from(answer, at)
                if kind == NLMSG_DONE:
                    return
                if kind == NLMSG_ERROR:
                    raise OSError(-struct.unpack_from("=i", answer, at + HEADER.size)[0], "sock_diag")
                yield parse(family, answer, at)
                at += (size + 3) & ~3


def parse(family: int, answer: bytes, at: int) -> Socket:
    state = STATES.get(answer[at + HEADER.size + 1], "other")
    local, remote = struct.unpack_from("!HH", answer, at + PORTS_AT)
    [inode] = struct.unpack_from("=I", answer, at + INODE_AT)
    return Socket(
        "tcp",
        f"{host(family, answer, at + LOCAL_AT)}:{local}",
        f"{host(family, answer, at + REMOTE_AT)}:{remote}",
        state,
        inode,
    )


def host(family: int, answer: bytes, at: int) -> str:
    """IPv4 within IPv6 is told as IPv4, as `inspect.kernel_sockets` does."""
    raw = answer[at : at + ADDRESS_BYTES[socket.AddressFamily(family)]]
    if len(raw) == 16 and raw.startswith(b"\0" * 10 + b"\xff\xff"):
        raw = raw[12:]
    text = socket.inet_ntop(socket.AF_INET if len(raw) == 4 else socket.AF_INET6, raw)
    return text if len(raw) == 4 else f"[{text}]"
