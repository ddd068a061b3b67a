"""The board over WebSocket: wsproto does the protocol, gevent the waiting, uWSGI provides the connection.

Each connection has two greenlets: the request's own reads, a second one writes what the outbox holds. Nothing else
touches the socket, so no frame is ever interrupted by another one.
"""

import signal
from contextlib import suppress
from functools import lru_cache
from io import StringIO
from urllib.parse import unquote

import gevent
import uwsgi
from board import Board
from frames import CloseFinder
from gevent import socket
from gevent.queue import Queue
from upgrade import switch_protocols
from wsproto.connection import Connection, ConnectionType
from wsproto.events import BytesMessage, CloseConnection, Event, Ping, TextMessage
from wsproto.frame_protocol import CloseReason

from offload_lab.stages.site.arguments import argument

MESSAGE_LIMIT = 64 * 1024  # characters in one message, however many frames carry it
OUTBOX_LIMIT = 64  # frames queued for one client; a client with more does not read
READ_BYTES = 64 * 1024
PONG = b""  # in an outbox, the place of the pong that waits
GOING_AWAY = Connection(ConnectionType.SERVER).send(CloseConnection(CloseReason.GOING_AWAY, "the board stops"))

PING_S = float(argument("ping_s"))  # silence until a ping; as long again in silence ends the connection
CLOSE_S = float(argument("close_s"))  # for our Close frame to leave, and for the client's to arrive
BOARD = Board(tick_s=float(argument("tick_s")))


class Client:
    """One open connection, with its own fragments, outbox and limits."""

    def __init__(self, sock: socket.socket, user: str) -> None:
        self.sock, self.user = sock, user
        self.ws = Connection(ConnectionType.SERVER)
        self.close_finder = CloseFinder()
        self.message = StringIO()  # the fragments of a message that is not finished
        self.outbox = Queue()  # frames, ready to send, and PONG; None ends the writer
        self.pong = b""  # the one that waits
        self.is_sending = False
        sock.settimeout(PING_S)

    def serve(self) -> None:
        """Returns once the client closes, breaks a rule, stops reading or is gone."""
        writer = gevent.spawn(self.write)
        BOARD.clients.add(self)
        try:
            closing = self.read()
            BOARD.clients.discard(self)  # no news after the last frame
            if closing:
                self.close(closing, writer)
        finally:
            BOARD.clients.discard(self)
            writer.kill()

    def close(self, closing: CloseConnection, writer: gevent.Greenlet) -> None:
        with gevent.Timeout(CLOSE_S, False):
            self.outbox.put(self.ws.send(closing))
            self.outbox.put(None)
            self.drain()
            writer.join()

    def read(self) -> CloseConnection | None:
        """The Close frame to end with; None where the connection broke."""
        asked = False
        while True:
            try:
                data = self.sock.recv(READ_BYTES)
            except TimeoutError:
                if asked:
                    print(f"{self.user}: dropped, no answer to a ping")
                    return CloseConnection(CloseReason.INTERNAL_ERROR, "no answer to a ping")
                asked = True
                self.send(self.ws.send(Ping()))
                continue
            except OSError:
                return None
            if not data:
                return None
            asked = False
            self.close_finder.feed(data)
            self.ws.receive_data(data)
            for event in self.ws.events():
                closing = self.answer(event)
                if closing:
                    return closing
                gevent.sleep(0)  # the others' turn, however much came at once

    def answer(self, event: Event) -> CloseConnection | None:
        """React to what the client sent. Returns a Close frame if that ends the connection."""
        match event:
            case Ping():  # only the latest is answered if they come faster than pongs leave (RFC 6455, section 5.5.3)
                waiting, self.pong = self.pong, self.ws.send(event.response())
                if not waiting:
                    self.send(PONG)
            case TextMessage():
                # >>> pieces
                self.message.write(event.data)
                if self.message.tell() > MESSAGE_LIMIT:
                    return CloseConnection(CloseReason.MESSAGE_TOO_BIG, f"at most {MESSAGE_LIMIT} characters")
                if event.message_finished:
                    BOARD.post(self.user, self.message.getvalue())
                    self.message = StringIO()
                # <<<
            case BytesMessage():
                return CloseConnection(CloseReason.UNSUPPORTED_DATA, "text only")
            case CloseConnection():  # the client's own, or wsproto's for a broken rule: the response is the same
                return event
        return None

    def send_text(self, text: str) -> None:
        self.send(text_frame(text))

    def send(self, frame: bytes) -> None:
        """Never waits, which would delay all clients. Nor may the reader wait here: an offload thread that cannot write
        to this process does not read from it either."""
        if self.outbox.qsize() < OUTBOX_LIMIT:
            self.outbox.put(frame)
        else:
            print(f"{self.user}: dropped, does not read")
            self.disconnect()

    def write(self) -> None:
        try:
            for frame in iter(self.outbox.get, None):
                if frame is PONG:
                    frame, self.pong = self.pong, b""
                self.is_sending = True
                self.sock.sendall(frame)
                self.is_sending = False
        except OSError:  # gone, or PING_S went by and the frame did not
            self.disconnect()

    def go_away(self) -> None:
        """Closes with 1001 without waiting, or without the 1001 where it would be inside a frame that is half sent."""
        if not self.is_sending:
            self.sock.settimeout(0)
            with suppress(OSError):
                self.sock.send(GOING_AWAY)
        self.disconnect()

    def disconnect(self) -> None:
        """Both greenlets of this connection find it closed."""
        BOARD.clients.discard(self)
        with suppress(OSError):  # it was closed already
            self.sock.shutdown(socket.SHUT_RDWR)

    def drain(self) -> None:
        """Read until the client's Close frame: to close with bytes unread would destroy our last frame on its way."""
        with suppress(OSError):
            while not self.close_finder.found and (data := self.sock.recv(READ_BYTES)):
                self.close_finder.feed(data)


@lru_cache(maxsize=1)
def text_frame(text: str) -> bytes:
    """The same bytes for every client, since a server masks nothing: they are kept once for all outboxes."""
    return Connection(ConnectionType.SERVER).send(TextMessage(text))


def close_all() -> None:
    while BOARD.clients:
        BOARD.clients.pop().go_away()


# uWSGI stops a worker with the first and does not wait for requests; with the second it reloads and waits, for 60 s.
# In greenlets, since these start after uWSGI has set its own handlers.
for number in (signal.SIGINT, signal.SIGHUP):
    gevent.spawn(gevent.signal_handler, number, close_all)


def application(environ, start_response):
    try:
        switch_protocols(environ, start_response)
    except OSError:  # the client has left
        return []
    sock = socket.socket(fileno=uwsgi.connection_fd())
    try:
        Client(sock, user=unquote(environ["OFFLOAD_USER"])).serve()
    finally:
        sock.detach()  # uWSGI opened the descriptor and will close it
    return []
