"""A bad network for tests: carries bytes between visitors and a front, until it is cut."""

import selectors
import socket
import struct
import threading

LOOPBACK = "127.0.0.1"
RESET_ON_CLOSE = struct.pack("ii", 1, 0)  # SO_LINGER with no time left: the other end gets a reset, not an end


class Relay:
    """Listens at `port` and carries to `target`. While `cut`, nothing passes: no byte, no end, no new connection."""

    def __init__(self, target):
        self._target = target
        self._listener = socket.create_server((LOOPBACK, 0), backlog=1024)
        self.port = self._listener.getsockname()[1]
        self._peers = {}
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._listener, selectors.EVENT_READ)
        self._stop, self._open = threading.Event(), threading.Event()
        self._open.set()
        self._idle = threading.Event()
        self._resets = 0
        self._thread = threading.Thread(target=self._carry, daemon=True)

    def cut(self):
        """Returns once nothing passes."""
        self._idle.clear()
        self._open.clear()
        self._idle.wait()

    def restore(self):
        """The network is back. It has forgotten every other connection, and both their ends get a reset."""
        self._resets = 2
        self._open.set()

    def _carry(self):
        while not self._stop.is_set():
            if not self._open.is_set():
                self._idle.set()
                self._open.wait()
            if self._resets:
                pairs = [(ours, theirs) for ours, theirs in self._peers.items() if ours.getsockname()[1] == self.port]
                for ours, _ in pairs[:: self._resets]:
                    self._close(ours, reset=True)
                self._resets = 0
            for key, _ in self._selector.select(timeout=0.02):
                if key.fileobj is self._listener:
                    self._accept()
                elif key.fileobj in self._peers:  # not closed a moment ago, with its peer
                    self._pass_on(key.fileobj)

    def _accept(self):
        ours, _ = self._listener.accept()
        try:
            theirs = socket.create_connection((LOOPBACK, self._target))
        except OSError:
            ours.close()
            return
        for one, other in ((ours, theirs), (theirs, ours)):
            self._peers[one] = other
            self._selector.register(one, selectors.EVENT_READ)

    def _pass_on(self, one):
        try:
            if chunk := one.recv(65536):
                self._peers[one].sendall(chunk)
                return
        except OSError:
            pass
        self._close(one)

    def _close(self, one, reset=False):
        for end in (one, self._peers.pop(one)):
            self._peers.pop(end, None)
            self._selector.unregister(end)
            if reset:
                end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)
            end.close()

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *why):
        self._stop.set()
        self._open.set()
        self._thread.join()
        for one in [*self._peers, self._listener]:
            one.close()
        self._selector.close()
