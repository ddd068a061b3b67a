"""The least that can hold streams: it parses no request, authorises nothing, and writes each event to every connection.

No server can be faster. What clients measure here is the cost of the load generator and of the kernel.
"""

import select
import socket
import sys
import time
from collections import defaultdict
from contextlib import suppress

from bench.site.feeds import ALL, FEEDS, WELCOME, due_after, event

HEADERS = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n" + WELCOME
PONG = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\nConnection: close\r\n\r\npong"

listeners: dict[str, set[socket.socket]] = defaultdict(set)


def answer(client: socket.socket) -> None:
    path = client.recv(4096).partition(b" HTTP/")[0]
    if path.endswith(b"/ping"):
        client.send(PONG)
        client.close()
    else:
        client.send(HEADERS)
        listeners[path.rpartition(b"=")[2].decode()].add(client)


def publish(feed: str, due: float) -> None:
    data, gone = event(feed, due), set()
    for client in listeners[feed]:
        try:
            client.send(data)
        except OSError:
            gone.add(client)
    listeners[feed] -= gone


def main(port: int) -> None:
    server = socket.create_server(("127.0.0.1", port), backlog=4096)
    server.setblocking(False)
    epoll = select.epoll()
    epoll.register(server, select.EPOLLIN)
    pending: dict[int, socket.socket] = {}
    due_times = {feed: due_after(feed, time.monotonic()) for feed in (*FEEDS, ALL)}
    while True:
        feed = min(due_times, key=due_times.__getitem__)
        for fd, _ in epoll.poll(max(0.0, due_times[feed] - time.monotonic())):
            if fd == server.fileno():
                with suppress(BlockingIOError):
                    client, _ = server.accept()
                    client.setblocking(False)
                    pending[client.fileno()] = client
                    epoll.register(client, select.EPOLLIN)
            else:
                epoll.unregister(fd)
                with suppress(OSError):
                    answer(pending.pop(fd))
        if due_times[feed] <= time.monotonic():
            publish(feed, due_times[feed])
            due_times[feed] = due_after(feed, due_times[feed])


main(int(sys.argv[1]))
