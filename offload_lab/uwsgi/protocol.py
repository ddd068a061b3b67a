"""The uwsgi protocol, which a front speaks to a backend."""

import socket
import struct
from collections.abc import Mapping
from pathlib import Path

TIMEOUT_S = 30.0


def packet(variables: Mapping[str, str], modifiers: tuple[int, int] = (0, 0)) -> bytes:
    """A request's variables as https://uwsgi-docs.readthedocs.io/en/latest/Protocol.html defines them."""
    strings = [text.encode() for pair in variables.items() for text in pair]
    packed = b"".join(struct.pack("<H", len(text)) + text for text in strings)
    return struct.pack("<BHB", modifiers[0], len(packed), modifiers[1]) + packed


def connect(path: Path, timeout_s: float = TIMEOUT_S) -> socket.socket:
    """A connection to the UNIX socket at `path`.

    Raises: OSError where nothing listens.
    """
    connection = socket.socket(socket.AF_UNIX)
    connection.settimeout(timeout_s)
    try:
        connection.connect(str(path))
    except OSError:
        connection.close()
        raise
    return connection
