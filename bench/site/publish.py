"""Publishes all feeds: posts each event once, when it is due, to a push server over HTTP.

``python -m bench.site.publish nchan SOCKET`` or ``… pushpin PORT``.
"""

import json
import socket
import sys
import time

from .feeds import event, message, turns

HOST = "127.0.0.1"


def connected(family: socket.AddressFamily, address: str | tuple[str, int]) -> socket.socket:
    """Retries until the server listens; the bench ends this process if that never happens."""
    while True:
        connection = socket.socket(family)
        try:
            connection.connect(address)
            return connection
        except OSError:
            connection.close()
            time.sleep(0.05)


def to_nchan(feed: str, due: float) -> tuple[str, bytes]:
    """nchan adds the event's framing itself."""
    return f"/publish/{feed}", message(feed, due).encode()


def to_pushpin(feed: str, due: float) -> tuple[str, bytes]:
    item = {"channel": feed, "formats": {"http-stream": {"content": event(feed, due).decode()}}}
    return "/publish/", json.dumps({"items": [item]}).encode()


def main(server: str, where: str) -> None:
    nchan = server == "nchan"
    encode = to_nchan if nchan else to_pushpin
    for feed, due in turns():
        path, body = encode(feed, due)
        headers = f"POST {path} HTTP/1.1\r\nHost: publisher\r\nContent-Length: {len(body)}\r\n\r\n"
        with connected(socket.AF_UNIX, where) if nchan else connected(socket.AF_INET, (HOST, int(where))) as connection:
            connection.sendall(headers.encode() + body)
            connection.recv(4096)  # its answer


if __name__ == "__main__":
    main(*sys.argv[1:])
