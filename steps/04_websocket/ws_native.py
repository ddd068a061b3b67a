"""The board over uWSGI's own WebSocket functions, the short way. What it lacks stands in README.md: do not copy it."""

from collections import deque
from urllib.parse import unquote

import gevent
import uwsgi
from board import Board
from gevent.event import Event
from gevent.socket import wait_read
from upgrade import switch_protocols

from offload_lab.stages.site.arguments import argument

UNFINISHED = b"\0"  # how uWSGI says that a fragment came and more will follow
BOARD = Board(tick_s=float(argument("tick_s")))


class Client:
    def __init__(self, fd: int) -> None:
        self.fd = fd
        self.news = deque(maxlen=64)  # a slow reader misses the oldest; uWSGI's socket-timeout ends a stalled one
        self.stirred = Event()  # something to send or to receive

    def send_text(self, text: str) -> None:
        self.news.append(text)
        self.stirred.set()

    def listen(self) -> None:
        """In a greenlet of its own, since only the request's own greenlet may call uWSGI's functions."""
        wait_read(self.fd)
        self.stirred.set()


def application(environ, start_response):
    try:
        shake_hands(environ, start_response)
    except OSError:  # the client has left
        return []
    visitor, user = Client(uwsgi.connection_fd()), unquote(environ["OFFLOAD_VISITOR"])
    BOARD.visitors.add(visitor)
    listener = gevent.spawn(visitor.listen)
    try:
        while True:
            while visitor.news:
                uwsgi.websocket_send(visitor.news.popleft())
            if message := uwsgi.websocket_recv_nb():  # it also answers pings, and sends them
                if message != UNFINISHED:
                    BOARD.post(user, message.decode(errors="replace"))
                continue
            if listener.ready():
                listener = gevent.spawn(visitor.listen)
            visitor.stirred.wait()
            visitor.stirred.clear()
    except OSError:
        pass  # closed, by whichever side
    finally:
        BOARD.visitors.discard(visitor)
        listener.kill()
    return []


def shake_hands(environ, start_response) -> None:
    try:
        uwsgi.websocket_handshake()
    except OSError:  # it hashes the client's key with OpenSSL, and this uWSGI was built without; hashlib hashes as well
        switch_protocols(environ, start_response)
