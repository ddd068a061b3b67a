"""One HTTP request on a connection of its own, and the whole answer."""

import ssl
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from email.message import Message
from http.client import HTTPConnection, HTTPSConnection
from pathlib import Path

from offload_lab.timeouts import scaled

from .deadlines import LOOPBACK, DeadlineSocket

TIMEOUT_S = 60.0


@dataclass(frozen=True)
class Answer:
    status: int
    headers: Message
    body: bytes


def fetch(
    port: int,
    target: str,
    method: str = "GET",
    headers: Mapping[str, str] | None = None,
    body: str | None = None,
    timeout_s: float = TIMEOUT_S,
    certificate: Path | None = None,
) -> Answer:
    """The answer to one request; redirects are not followed. With a `certificate`, which the client trusts, over TLS.

    `timeout_s` is for the whole answer; over TLS for each read of it.

    Raises: http.client.RemoteDisconnected for an empty reply, another HTTPException for what is not HTTP, OSError where
        nothing listens, TimeoutError included.
    """
    with closing(connect(port, timeout_s, certificate)) as connection:
        connection.request(method, target, body=body, headers={"Connection": "close", **(headers or {})})
        with connection.getresponse() as response:  # its file keeps the socket open, the connection closed or not
            return Answer(response.status, response.headers, response.read())


def connect(port: int, timeout_s: float, certificate: Path | None) -> HTTPConnection:
    if certificate:
        trust = ssl.create_default_context(cafile=str(certificate))
        return HTTPSConnection(LOOPBACK, port, timeout=scaled(timeout_s), context=trust)
    connection = HTTPConnection(LOOPBACK, port)
    connection.sock = DeadlineSocket(port, timeout_s)
    return connection
