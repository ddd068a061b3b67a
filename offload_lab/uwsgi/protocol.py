"""uWSGI's own protocol, as a front speaks it to a backend."""

import socket
import struct
from collections.abc import Mapping
from pathlib import Path

TIMEOUT_S = 30.0


def packet(variables: Mapping[str, str], modifiers: tuple[int, int] = (0, 0)) -> bytes:
    """The variables as https://uwsgi-docs.readthedocs.io/en/latest/Protocol.html has them: lengths and halves."""
    halves = [half.encode() for pair in variables.items() for half in pair]
    packed = b"".join(struct.pack("<H", len(half)) + half for half in halves)
    return struct.pack("<BHB", modifiers[0], len(packed), modifiers[1]) + packed


def connect(path: Path, timeout_s: float = TIMEOUT_S) -> socket.socket:
    """A connection to the UNIX socket at `path`.

    Raises: OSError where nobody listens.
    """
    connection = socket.socket(socket.AF_UNIX)
    connection.settimeout(timeout_s)
    try:
        connection.connect(str(path))
    except OSError:
        connection.close()
        raise
    return connection
