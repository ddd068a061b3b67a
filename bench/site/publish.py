"""Publishes all feeds: posts each event once, when it is due, to a push server over HTTP.

``python -m bench.site.publish nchan SOCKET`` or ``… pushpin PORT``.
"""

import heapq
import json
import socket
import sys
import time

from .feeds import ALL, FEEDS, due_after, event, message

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
    turns = [(due_after(feed, time.monotonic()), feed) for feed in (*FEEDS, ALL)]
    heapq.heapify(turns)
    while True:
        due, feed = turns[0]
        time.sleep(max(0.0, due - time.monotonic()))
        path, body = encode(feed, due)
        headers = f"POST {path} HTTP/1.1\r\nHost: publisher\r\nContent-Length: {len(body)}\r\n\r\n"
        with connected(socket.AF_UNIX, where) if nchan else connected(socket.AF_INET, (HOST, int(where))) as connection:
            connection.sendall(headers.encode() + body)
            connection.recv(4096)  # its answer
        heapq.heapreplace(turns, (due_after(feed, due), feed))


if __name__ == "__main__":
    main(*sys.argv[1:])
