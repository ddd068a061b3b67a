"""One request on a connection of its own, and the whole answer."""

import http.client
import socket
from dataclasses import dataclass
from email.message import Message

LOOPBACK = "127.0.0.1"
TIMEOUT_S = 30.0


@dataclass(frozen=True)
class Answer:
    status: int
    headers: Message
    body: bytes


def fetch(port: int, target: str, method: str = "GET", headers: dict[str, str] | None = None) -> Answer:
    """Raises http.client.RemoteDisconnected for an empty reply, OSError where nobody answers."""
    connection = http.client.HTTPConnection(LOOPBACK, port, timeout=TIMEOUT_S)
    try:
        connection.request(method, target, headers={"Connection": "close", **(headers or {})})
        response = connection.getresponse()
        return Answer(response.status, response.headers, response.read())
    finally:
        connection.close()


def fetch_raw(port: int, request: bytes) -> bytes:
    """All bytes that the server sends until it closes, for what an HTTP client would hide."""
    with socket.create_connection((LOOPBACK, port), timeout=TIMEOUT_S) as connection:
        connection.sendall(request)
        return b"".join(iter(lambda: connection.recv(65536), b""))
