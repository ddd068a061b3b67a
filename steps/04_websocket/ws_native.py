"""The board over uWSGI's own WebSocket functions, the short way. README.md says what it lacks: do not copy it."""

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
        self.outbox = deque(maxlen=64)  # a slow reader misses the oldest; uWSGI's socket-timeout ends a stalled one
        self.wake = Event()  # something to send or to receive

    def send_text(self, text: str) -> None:
        self.outbox.append(text)
        self.wake.set()

    def listen(self) -> None:
        """In a greenlet of its own, since only the request's own greenlet may call uWSGI's functions."""
        wait_read(self.fd)
        self.wake.set()


def application(environ, start_response):
    try:
        handshake(environ, start_response)
    except OSError:  # the client has left
        return []
    client, user = Client(uwsgi.connection_fd()), unquote(environ["OFFLOAD_USER"])
    BOARD.clients.add(client)
    listener = gevent.spawn(client.listen)
    try:
        while True:
            while client.outbox:
                uwsgi.websocket_send(client.outbox.popleft())
            if message := uwsgi.websocket_recv_nb():  # it also answers pings, and sends them
                if message != UNFINISHED:
                    BOARD.post(user, message.decode(errors="replace"))
                continue
            if listener.ready():
                listener = gevent.spawn(client.listen)
            client.wake.wait()
            client.wake.clear()
    except OSError:
        pass  # closed, by whichever side
    finally:
        BOARD.clients.discard(client)
        listener.kill()
    return []


def handshake(environ, start_response) -> None:
    try:
        uwsgi.websocket_handshake()
    except OSError:  # it hashes the client's key with OpenSSL, and this uWSGI was built without; hashlib hashes as well
        switch_protocols(environ, start_response)
