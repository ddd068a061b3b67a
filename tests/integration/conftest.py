"""For the tests of uwsgi_build/patches: a front whose app behind is the test itself, and what its visitors hear."""

import selectors
import shutil
import socket
from contextlib import ExitStack, contextmanager

from offload_lab.clients import ping
from offload_lab.clients.sse import request_bytes
from offload_lab.clients.websocket import PING, PONG, TEXT, frame
from offload_lab.errors import MissingDependencyError
from offload_lab.process.deadlines import Deadline
from offload_lab.process.server_process import free_port
from offload_lab.stages import manifest
from offload_lab.stages.stage import short_private_folder
from offload_lab.testing import require
from offload_lab.timeouts import scaled
from offload_lab.uwsgi import binary
from offload_lab.uwsgi.server import Uwsgi

TIMEOUT_S = 30
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n"
EVENT = b"data: the next one, please\n\n"


def find(name):
    try:
        return binary.find(name)
    except MissingDependencyError as missing:
        require(False, missing.what, missing.install)


class Hall:
    """A front, its visitors, and the door behind it, at which the test stands in place of an app."""

    def __init__(self, front, run, door, exits):
        self.front, self.run, self.door, self.exits = front, run, door, exits
        self.pid = front.workers()[0].pid
        self.arrived = []  # all connections behind, whether there was a request on them or not

    def knock(self, path="/subscribe"):
        """Somebody who has asked, and waits."""
        visitor = self.exits.enter_context(socket.create_connection(("127.0.0.1", self.front.port), scaled(TIMEOUT_S)))
        visitor.sendall(request_bytes(self.front.port, path))
        return visitor

    def accept(self):
        self.arrived.append(self.exits.enter_context(self.door.accept()[0]))
        return self.arrived[-1]

    def requests(self):
        """All that came behind since the last time, each answered."""
        while hears([self.door]):
            self.accept()
        asking = [stream for stream in hears(self.arrived) if stream.recv(65536)]
        for stream in asking:
            stream.sendall(HEAD)
        return asking

    def stream(self):
        """A stream that has begun: the visitor's end, and the one behind."""
        visitor, behind = self.knock(), self.accept()
        assert b"/subscribe" in behind.recv(65536)
        behind.sendall(HEAD)
        assert read(visitor, len(HEAD)) == HEAD
        return visitor, behind

    def serves(self):
        """Who comes last is answered last."""
        return ping(self.front.port, TIMEOUT_S).pid == self.pid


@contextmanager
def hall(uwsgi, *options, listen=1024):
    run = short_private_folder()
    with ExitStack() as exits:
        exits.callback(shutil.rmtree, run)
        door = exits.enter_context(socket.socket(socket.AF_UNIX))
        door.bind(str(run / "sse.sock"))
        door.listen(listen)
        door.settimeout(scaled(TIMEOUT_S))
        ini = manifest.find("07_pitfalls").folder / "queue_full_broken.ini"
        options = [word.format(run=run) for word in options]
        front = exits.enter_context(Uwsgi(ini, run, port=free_port(), engine=find(uwsgi), options=options))
        front.wait_ready(Deadline(TIMEOUT_S))
        yield Hall(front, run, door, exits)


def hears(sockets):
    """Those on which there is something to read, the end included."""
    with selectors.DefaultSelector() as selector:
        for one in sockets:
            selector.register(one, selectors.EVENT_READ)
        return [key.fileobj for key, _ in selector.select(0)]


def read(visitor, size=10**9):
    """So many bytes, or all until the end."""
    came = b""
    while len(came) < size and (chunk := visitor.recv(min(65536, size - len(came)))):
        came += chunk
    return came


def says(client, words):
    """Whether `client` hears them before the server closes the connection. Answers pings, as one has to."""
    while (said := client.receive()) is not None:
        if said.opcode == PING:
            client.send(frame(PONG, said.payload))
        if said.opcode == TEXT and words in said.payload.decode():
            return True
    return False
