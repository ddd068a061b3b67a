"""The least that can hold streams: it reads no request, asks nobody, and writes each event to every connection.

No contestant can be faster than this. What its visitors see is what the visitors themselves and the kernel take, so it
tells whether the load generator is in the way.
"""

import select
import socket
import sys
import time
from collections import defaultdict
from contextlib import suppress

from bench.site.feeds import ALL, FEEDS, WELCOME, due_after, event

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n" + WELCOME
PONG = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\nConnection: close\r\n\r\npong"

listeners: dict[str, set[socket.socket]] = defaultdict(set)


def answer(visitor: socket.socket) -> None:
    path = visitor.recv(4096).partition(b" HTTP/")[0]
    if path.endswith(b"/ping"):
        visitor.send(PONG)
        visitor.close()
    else:
        visitor.send(HEAD)
        listeners[path.rpartition(b"=")[2].decode()].add(visitor)


def speak(feed: str, due: float) -> None:
    said, gone = event(feed, due), set()
    for visitor in listeners[feed]:
        try:
            visitor.send(said)
        except OSError:
            gone.add(visitor)
    listeners[feed] -= gone


def main(port: int) -> None:
    server = socket.create_server(("127.0.0.1", port), backlog=4096)
    server.setblocking(False)
    epoll = select.epoll()
    epoll.register(server, select.EPOLLIN)
    asking: dict[int, socket.socket] = {}
    turns = {feed: due_after(feed, time.monotonic()) for feed in (*FEEDS, ALL)}
    while True:
        feed = min(turns, key=turns.__getitem__)
        for fd, _ in epoll.poll(max(0.0, turns[feed] - time.monotonic())):
            if fd == server.fileno():
                with suppress(BlockingIOError):
                    visitor, _ = server.accept()
                    visitor.setblocking(False)
                    asking[visitor.fileno()] = visitor
                    epoll.register(visitor, select.EPOLLIN)
            else:
                epoll.unregister(fd)
                with suppress(OSError):
                    answer(asking.pop(fd))
        if turns[feed] <= time.monotonic():
            speak(feed, turns[feed])
            turns[feed] = due_after(feed, turns[feed])


main(int(sys.argv[1]))
