"""In front: nobody is handed over while the queue to an offload thread is half full, or the app behind out of reach.

A worker hands over by writing into a pair of sockets, one pair for each of its threads. Nobody else writes there: what
is found here still holds when uWSGI hands over. (With one thread per worker; the other half is for those with more.)
"""

import fcntl
import os
import socket
import struct
import termios
from functools import cache

from backend_down import BACKEND
from not_now import not_now

from offload_lab.stages.site import with_ping
from offload_lab.stages.site.backend import is_ready

FULL = 0.5  # at 1 the worker would carry the visitor by itself, and be lost


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
        return not_now(start_response, "too many at once")
    start_response("200 OK", [("X-Offload-to-SSE", "ada")])
    return []
