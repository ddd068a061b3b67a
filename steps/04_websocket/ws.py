"""The board over WebSocket: wsproto knows the protocol, gevent waits, uWSGI lends the connection.

Each visit has two greenlets: the request's own reads, a second one writes what the outbox holds. Nothing else touches
the socket, so no frame is ever cut in two by another one.
"""

import signal
import sys
from contextlib import suppress
from functools import lru_cache
from io import StringIO
from urllib.parse import unquote

import gevent
import uwsgi
from board import Board
from frames import CloseFinder
from gevent import socket
from gevent.queue import Full, Queue
from upgrade import switch_protocols
from wsproto.connection import Connection, ConnectionType
from wsproto.events import BytesMessage, CloseConnection, Event, Ping, TextMessage
from wsproto.frame_protocol import CloseReason

MESSAGE_LIMIT = 64 * 1024  # characters in one message, however many frames carry it
OUTBOX_LIMIT = 64  # frames that wait for one visitor; whoever lets more pile up does not read
READ_BYTES = 64 * 1024
GOING_AWAY = Connection(ConnectionType.SERVER).send(CloseConnection(CloseReason.GOING_AWAY, "the board stops"))

PING_S = float(sys.argv[3])  # silence after which we ask "are you there?"; as long again without a word is the end
CLOSE_S = float(sys.argv[4])  # for our Close frame to leave, and for the client's to come
BOARD = Board(tick_s=float(sys.argv[2]))


class Visitor:
    """One open connection. Its fragments, its outbox and its limits are its own."""

    def __init__(self, sock: socket.socket, user: str) -> None:
        self.sock, self.user = sock, user
        self.ws = Connection(ConnectionType.SERVER)
        self.close_frame = CloseFinder()
        self.message = StringIO()  # the fragments of a message that is not finished
        self.outbox = Queue(OUTBOX_LIMIT)  # frames, ready to send; None ends the writer
        self.is_sending = False
        sock.settimeout(PING_S)

    def stay(self) -> None:
        """Until the visitor leaves, breaks a rule, stops reading or is gone."""
        writer = gevent.spawn(self.write)
        BOARD.visitors.add(self)
        try:
            farewell = self.read()
            BOARD.visitors.discard(self)  # no news after the last frame
            if farewell:
                self.say_goodbye(farewell, writer)
        finally:
            BOARD.visitors.discard(self)
            writer.kill()

    def say_goodbye(self, farewell: CloseConnection, writer: gevent.Greenlet) -> None:
        with gevent.Timeout(CLOSE_S, False):
            self.outbox.put(self.ws.send(farewell))
            self.outbox.put(None)
            writer.join()
            self.drain()

    def read(self) -> CloseConnection | None:
        """The farewell this visit ends with; none where the connection broke."""
        asked = False
        while True:
            try:
                data = self.sock.recv(READ_BYTES)
            except TimeoutError:
                if asked:
                    print(f"{self.user}: dropped, no answer to a ping")
                    return CloseConnection(CloseReason.INTERNAL_ERROR, "no answer to a ping")
                asked = True
                self.outbox.put(self.ws.send(Ping()))
                continue
            except OSError:
                return None
            if not data:
                return None
            asked = False
            self.close_frame.feed(data)
            self.ws.receive_data(data)
            for event in self.ws.events():
                farewell = self.answer(event)
                if farewell:
                    return farewell
                gevent.sleep(0)  # the others' turn, however much came at once

    def answer(self, event: Event) -> CloseConnection | None:
        """React to what the visitor sent. Returns a farewell if that ends the visit."""
        match event:
            case Ping():  # a flood of them waits here: its sender is not read before it has read the answers
                self.outbox.put(self.ws.send(event.response()))
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
            case CloseConnection():  # the visitor's own, or wsproto's verdict on a broken rule: the answer is the same
                return event
        return None

    def tell(self, text: str) -> None:
        """Never waits: a visitor who does not read must not hold up the board."""
        try:
            self.outbox.put_nowait(text_frame(text))
        except Full:
            print(f"{self.user}: dropped, does not read")
            self.hang_up()

    def write(self) -> None:
        try:
            for frame in iter(self.outbox.get, None):
                self.is_sending = True
                self.sock.sendall(frame)
                self.is_sending = False
        except OSError:  # gone, or PING_S went by and the frame did not
            self.hang_up()
            for _ in iter(self.outbox.get, None):  # the reader may be waiting for room
                pass

    def go_away(self) -> None:
        """Without waiting for anything. A frame that is half sent gets no other one inside, so then without the 1001."""
        if not self.is_sending:
            self.sock.settimeout(0)
            with suppress(OSError):
                self.sock.send(GOING_AWAY)
        self.hang_up()

    def hang_up(self) -> None:
        """Both greenlets of this visit find the connection closed."""
        BOARD.visitors.discard(self)
        with suppress(OSError):  # it was closed already
            self.sock.shutdown(socket.SHUT_RDWR)

    def drain(self) -> None:
        """Read until the client's Close frame: to close with bytes unread would destroy our last frame on its way."""
        with suppress(OSError):
            while not self.close_frame.found and (data := self.sock.recv(READ_BYTES)):
                self.close_frame.feed(data)


@lru_cache(maxsize=1)
def text_frame(text: str) -> bytes:
    """The same bytes for every client, since a server masks nothing: a broadcast is in memory once, however many wait."""
    return Connection(ConnectionType.SERVER).send(TextMessage(text))


def close_all() -> None:
    while BOARD.visitors:
        BOARD.visitors.pop().go_away()


# uWSGI stops or reloads the worker by these, and does not wait, or for 60 s; in greenlets, so that its own handlers come first
for number in (signal.SIGINT, signal.SIGHUP):
    gevent.spawn(gevent.signal_handler, number, close_all)


def application(environ, start_response):
    try:
        switch_protocols(environ, start_response)
    except OSError:  # the client has left
        return []
    sock = socket.socket(fileno=uwsgi.connection_fd())
    try:
        Visitor(sock, user=unquote(environ["OFFLOAD_VISITOR"])).stay()
    finally:
        sock.detach()  # uWSGI opened the descriptor and will close it
    return []
