"""The board over WebSocket: wsproto knows the protocol, gevent waits, uWSGI lends the connection.

Each visit has two greenlets: the request's own reads, a second one writes what the outbox holds. Nothing else touches
the socket, so no frame is ever cut in two by another one.
"""

import sys
from io import StringIO
from urllib.parse import unquote

import gevent
import uwsgi
from board import Board
from gevent import socket
from gevent.queue import Full, Queue
from upgrade import switch_protocols
from wsproto.connection import Connection, ConnectionState, ConnectionType
from wsproto.events import BytesMessage, CloseConnection, Event, Ping, TextMessage
from wsproto.frame_protocol import CloseReason

MESSAGE_LIMIT = 64 * 1024  # characters in one message, however many frames carry it
OUTBOX_LIMIT = 64  # frames that wait for one visitor; whoever lets more pile up does not read
READ_BYTES = 64 * 1024
FAREWELL_S = 1.0  # for the last frame to arrive, and for the visitor to hang up

PING_S = float(sys.argv[3])  # silence after which we ask "are you there?"; as long again without a word is the end
BOARD = Board(tick_s=float(sys.argv[2]))


class Visitor:
    """One open connection. Its fragments, its outbox and its limits are its own."""

    def __init__(self, sock: socket.socket, user: str) -> None:
        self.sock, self.user = sock, user
        self.ws = Connection(ConnectionType.SERVER)
        self.message = StringIO()  # the fragments of a message that is not finished
        self.outbox = Queue(OUTBOX_LIMIT)  # frames, ready to send; None ends the writer
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
        with gevent.Timeout(FAREWELL_S, False):
            self.outbox.put(self.ws.send(farewell))
            self.outbox.put(None)
            writer.join()
            if self.ws.state is not ConnectionState.CLOSED:  # it was us who began to close
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
                    return None
                asked = True
                self.send(Ping())
                continue
            except OSError:
                return None
            if not data:
                return None
            asked = False
            self.ws.receive_data(data)
            for event in self.ws.events():
                farewell = self.answer(event)
                if farewell:
                    return farewell
                gevent.sleep(0)  # the others' turn, however much came at once

    def answer(self, event: Event) -> CloseConnection | None:
        """React to what the visitor sent. Returns a farewell if that ends the visit."""
        match event:
            case Ping():
                self.send(event.response())
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
        self.send(TextMessage(text))

    def send(self, event: Event) -> None:
        """Never waits: a visitor who does not read must not hold up the board."""
        try:
            self.outbox.put_nowait(self.ws.send(event))
        except Full:
            print(f"{self.user}: dropped, does not read")
            self.hang_up()

    def write(self) -> None:
        try:
            for frame in iter(self.outbox.get, None):
                self.sock.sendall(frame)
        except OSError:  # gone, or PING_S went by and the frame did not
            self.hang_up()

    def hang_up(self) -> None:
        """Both greenlets of this visit find the connection closed."""
        BOARD.visitors.discard(self)
        try:
            self.sock.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass  # it was closed already

    def drain(self) -> None:
        """Read until the visitor hangs up: to close with bytes unread would destroy our last frame on its way."""
        try:
            while self.sock.recv(READ_BYTES):
                pass
        except OSError:
            pass


def application(environ, start_response):
    switch_protocols(environ, start_response)
    sock = socket.socket(fileno=uwsgi.connection_fd())
    try:
        Visitor(sock, user=unquote(environ["OFFLOAD_VISITOR"])).stay()
    finally:
        sock.detach()  # uWSGI opened the descriptor and will close it
    return []
