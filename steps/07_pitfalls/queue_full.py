"""Front: authorises no client while the queue to an offload thread is half full, or while the backend does not answer.

A worker offloads by writing into a pair of sockets, one pair for each of its threads. Nothing else writes there: what
is found here still holds when uWSGI offloads. (With one thread per worker; the other half is for workers with more.)
"""

import fcntl
import os
import socket
import struct
import termios
from functools import cache

from reconnect_later import reconnect_later

from offload_lab.stages.site import run_folder, with_ping
from offload_lab.stages.site.backend import is_ready

BACKEND = f"uwsgi:{run_folder()}/sse.sock"
FULL = 0.5  # at 1 the worker would proxy the stream by itself, and be lost


@cache  # a worker has them before its first request
def queues() -> list[socket.socket]:
    """Both ends of all pairs of SOCK_SEQPACKET sockets; uWSGI makes such pairs for its threads only."""
    found = []
    for name in os.listdir("/proc/self/fd"):
        try:
            end = socket.socket(fileno=os.dup(int(name)))
        except OSError:
            continue  # no socket, or closed meanwhile
        if end.type == socket.SOCK_SEQPACKET:
            found.append(end)
        else:
            end.close()
    return found


def load(end: socket.socket) -> float:
    """The share of its send buffer that is written and not yet read."""
    [waiting] = struct.unpack("i", fcntl.ioctl(end, termios.TIOCOUTQ, bytes(4)))
    return waiting / end.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF)


@with_ping
def application(environ, start_response):
    if max(map(load, queues()), default=1.0) > FULL or not is_ready(BACKEND):
        return reconnect_later(start_response, "too many at once")
    start_response("200 OK", [("X-Offload-to-SSE", "ada")])
    return []
