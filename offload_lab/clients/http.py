"""One request on a connection of its own, and the whole answer: parsed, or as the raw bytes."""

import socket

from offload_lab.process.deadlines import LOOPBACK, Deadline, receive_all
from offload_lab.process.http import TIMEOUT_S, Answer, fetch

__all__ = ["Answer", "fetch", "fetch_raw"]


def fetch_raw(port: int, request: bytes) -> bytes:
    """All bytes that the server sends until it closes, for what an HTTP client would hide."""
    with socket.create_connection((LOOPBACK, port), timeout=TIMEOUT_S) as connection:
        connection.sendall(request)
        return receive_all(connection, Deadline(TIMEOUT_S), "the whole answer")
