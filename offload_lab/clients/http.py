"""One request on a connection of its own, and the whole answer."""

import http.client
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from email.message import Message

from offload_lab.process.deadlines import LOOPBACK, Deadline, DeadlineSocket, receive_all

__all__ = ["LOOPBACK", "Answer", "exchange", "fetch", "fetch_raw"]

TIMEOUT_S = 60.0  # for a whole answer


@dataclass(frozen=True)
class Answer:
    status: int
    headers: Message
    body: bytes


def exchange(
    port: int, target: str, method: str, headers: Mapping[str, str], body: str | None, timeout_s: float
) -> Answer:
    """One request, whose whole answer has `timeout_s`.

    Raises: OSError or http.client.HTTPException.
    """
    connection = http.client.HTTPConnection(LOOPBACK, port)
    connection.sock = DeadlineSocket(port, timeout_s)
    try:
        connection.request(method, target, body=body, headers={"Connection": "close", **headers})
        response = connection.getresponse()
        return Answer(response.status, response.headers, response.read())
    finally:
        connection.close()


def fetch(port: int, target: str, method: str = "GET", headers: dict[str, str] | None = None) -> Answer:
    """Raises: http.client.RemoteDisconnected for an empty reply, OSError where nobody answers."""
    return exchange(port, target, method, headers or {}, None, TIMEOUT_S)


def fetch_raw(port: int, request: bytes) -> bytes:
    """All bytes that the server sends until it closes, for what an HTTP client would hide."""
    with socket.create_connection((LOOPBACK, port), timeout=TIMEOUT_S) as connection:
        connection.sendall(request)
        return receive_all(connection, Deadline(TIMEOUT_S), "the whole answer")
