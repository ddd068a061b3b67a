"""What exceeds one read of an offload thread is not kept back until the client acknowledges the beginning.

Read where it is decided: from the front's own socket, of which the test asks the kernel for a duplicate.
"""

import ctypes
import errno
import os
import socket
from collections.abc import Iterator
from contextlib import closing, contextmanager

import pytest

from offload_lab.inspect.socket_owners import find_socket_owners
from offload_lab.process.polling import wait_for
from offload_lab.stages.overrides import altered
from offload_lab.stages.stage import Stage
from offload_lab.testing import require

pytestmark = pytest.mark.full

PIDFD_GETFD = 438  # pidfd_getfd(2), the same number on every architecture; Linux 5.6
FRONTS = [
    ("03_sse_offload", "header"),
    ("03_sse_offload", "http_proxy"),
    ("04_websocket", "offload"),
    ("05_uwsgi_api", "add_var"),
    ("06_shared_state", "cache"),
]


def duplicate(pid: int, fd: int) -> socket.socket:
    """The socket that process `pid` has open as `fd`."""
    process = os.pidfd_open(pid)
    try:
        copy = ctypes.CDLL(None, use_errno=True).syscall(PIDFD_GETFD, process, fd, 0)
    finally:
        os.close(process)
    require(
        copy >= 0 or ctypes.get_errno() not in (errno.EPERM, errno.ENOSYS),
        "pidfd_getfd",
        "Linux 5.6 or later, in a container with --cap-add SYS_PTRACE",
    )
    assert copy >= 0, os.strerror(ctypes.get_errno())
    return socket.socket(fileno=copy)


@contextmanager
def accepted(stage: Stage) -> Iterator[socket.socket]:
    """The front's end of a connection to it."""
    with closing(socket.create_connection(("127.0.0.1", stage.port), timeout=30)) as client:
        client.sendall(b"GET /")  # not yet a request: the worker has accepted it, and waits for the rest
        own_port, found = client.getsockname()[1], []
        wait_for(
            lambda: found.extend(find_socket_owners(stage.port, own_port, stage.front.pids())) or found, 30, "accept()"
        )
        with closing(duplicate(found[0].pid, found[0].fd)) as server_end:
            yield server_end


def is_sent_at_once(end: socket.socket) -> bool:
    return bool(end.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))


@pytest.mark.parametrize(("step", "variant"), FRONTS)
def test_the_front_sends_at_once(step, variant):
    with Stage(step, variant) as stage, accepted(stage) as end:
        assert is_sent_at_once(end)


def test_without_the_option_the_kernel_waits():
    with Stage(altered("04_websocket", "offload", without=["tcp-nodelay"]), "offload") as stage, accepted(stage) as end:
        assert not is_sent_at_once(end)
