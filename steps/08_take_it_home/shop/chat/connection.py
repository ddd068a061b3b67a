"""One WebSocket, its limits and its two greenlets: the request's own reads, another one writes what is queued.

Nothing else touches the socket, so no frame is ever cut in two by another. Reading never waits for writing: an offload
thread that cannot write to us does not read from us either.
"""

import os
from contextlib import suppress
from io import StringIO

import gevent
import uwsgi
from gevent import socket
from gevent.queue import Queue
from wsproto import connection as ws
from wsproto.events import BytesMessage, CloseConnection, Ping, TextMessage
from wsproto.frame_protocol import CloseReason

from .close_finder import CloseFinder

MESSAGE_LIMIT = 64 * 1024  # characters in one message, however many frames it has
QUEUE_LIMIT = 256  # frames that wait for one client; one that lets more pile up does not read
READ_BYTES = 64 * 1024
PING_S = float(
    os.environ.get("CHAT_PING_S", "20")
)  # of silence, then a ping; as long again without an answer is the end
CLOSE_S = 5  # for our Close frame to leave, and for the client's to come
PONG = b""  # stands in the queue for the one pong that waits
GOING_AWAY = ws.Connection(ws.ConnectionType.SERVER).send(CloseConnection(CloseReason.GOING_AWAY, "restart"))


class Closed(Exception):  # noqa: N818
    """The connection broke."""


class Connection:
    def __init__(self):
        self._socket = socket.socket(fileno=uwsgi.connection_fd())
        self._socket.settimeout(PING_S)
        self._ws = ws.Connection(ws.ConnectionType.SERVER)
        self._close_finder = CloseFinder()
        self._queue = Queue()  # frames, and PONG; None ends the writer
        self._pong = b""
        self._is_sending = False
        self._writer = gevent.spawn(self._write)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._writer.kill()
        self._socket.detach()  # uWSGI opened the descriptor and will close it

    def messages(self):
        """Each text message, until the client closes, breaks a rule, or answers no ping.

        Raises: Closed where the connection breaks without a Close frame.
        """
        message = StringIO()
        for event in self._events():
            match event:
                case TextMessage():
                    message.write(event.data)
                    if message.tell() > MESSAGE_LIMIT:
                        return self.close(CloseReason.MESSAGE_TOO_BIG, f"at most {MESSAGE_LIMIT} characters")
                    if event.message_finished:
                        yield message.getvalue()
                        message = StringIO()
                case BytesMessage():
                    return self.close(CloseReason.UNSUPPORTED_DATA, "text only")
                case Ping():  # where they come faster than pongs leave, the latest is answered (RFC 6455, 5.5.3)
                    waits, self._pong = self._pong, self._ws.send(event.response())
                    if not waits:
                        self._send(PONG)
                case CloseConnection():  # the client's, or what wsproto says of a broken rule
                    return self.close(event.code, event.reason)

    def send_text(self, text):
        self._send(ws.Connection(ws.ConnectionType.SERVER).send(TextMessage(text)))

    def close(self, code, reason=None):
        """Send a Close frame behind what is queued, and wait for the client's."""
        with gevent.Timeout(CLOSE_S, False):
            self._queue.put(ws.Connection(ws.ConnectionType.SERVER).send(CloseConnection(code, reason)))
            self._queue.put(None)
            self._read_to_close_frame()
            self._writer.join()
        self.disconnect()

    def go_away(self):
        """1001, without waiting for anything; not where it would stand inside a frame that is half sent."""
        if not self._is_sending:
            self._socket.settimeout(0)
            with suppress(OSError):
                self._socket.send(GOING_AWAY)
        self.disconnect()

    def disconnect(self):
        with suppress(OSError):  # it was closed already
            self._socket.shutdown(socket.SHUT_RDWR)

    def _events(self):
        pinged = False
        while True:
            try:
                data = self._socket.recv(READ_BYTES)
            except TimeoutError:
                if pinged:
                    self.close(CloseReason.INTERNAL_ERROR, "no answer to a ping")
                    return
                pinged = True
                self._send(self._ws.send(Ping()))
                continue
            except OSError as error:
                raise Closed from error
            if not data:
                raise Closed
            pinged = False
            self._close_finder.feed(data)
            self._ws.receive_data(data)
            for event in self._ws.events():
                yield event
                gevent.sleep(0)  # the others' turn, however much came at once

    def _send(self, frame):
        """Never waits: a client that does not read must hold up nobody else."""
        if self._queue.qsize() < QUEUE_LIMIT:
            self._queue.put(frame)
        else:
            self.disconnect()

    def _write(self):
        try:
            for frame in iter(self._queue.get, None):
                if frame is PONG:
                    frame, self._pong = self._pong, b""
                self._is_sending = True
                self._socket.sendall(frame)
                self._is_sending = False
        except OSError:  # gone, or PING_S went by and the frame did not
            self.disconnect()

    def _read_to_close_frame(self):
        """To close with bytes unread would destroy our last frame on its way."""
        with suppress(OSError):
            while not self._close_finder.found and (data := self._socket.recv(READ_BYTES)):
                self._close_finder.feed(data)
