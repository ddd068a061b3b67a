"""A visitor as the app behind sees one: a request in uWSGI's own protocol, at a private socket."""

import socket
import struct
from collections.abc import Mapping
from pathlib import Path

from offload_lab.clients.sse import SseClient

TIMEOUT_S = 30.0


def packet(variables: Mapping[str, str], modifiers: tuple[int, int] = (0, 0)) -> bytes:
    """The variables as https://uwsgi-docs.readthedocs.io/en/latest/Protocol.html has them: lengths and halves."""
    halves = [half.encode() for pair in variables.items() for half in pair]
    packed = b"".join(struct.pack("<H", len(half)) + half for half in halves)
    return struct.pack("<BHB", modifiers[0], len(packed), modifiers[1]) + packed


def connect(path: Path, timeout_s: float = TIMEOUT_S) -> socket.socket:
    """A connection to the UNIX socket at `path`. Raises OSError where nobody listens."""
    connection = socket.socket(socket.AF_UNIX)
    connection.settimeout(timeout_s)
    try:
        connection.connect(str(path))
    except OSError:
        connection.close()
        raise
    return connection


class HandedOver(SseClient):
    """A subscriber whom the front has handed over to the app at the socket `path`; `variables` are what it says of one,
    beside ``X_OFFLOAD``."""

    def __init__(self, path: Path, *, timeout_s: float = TIMEOUT_S, **variables: str) -> None:
        said = {"REQUEST_METHOD": "GET", "PATH_INFO": "/subscribe", "X_OFFLOAD": "ada", **variables}
        self._begin(connect(path, timeout_s), packet(said))
