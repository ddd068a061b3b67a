"""A bad network for tests: relays bytes between clients and a front, until it is cut."""

import selectors
import socket
import struct
import threading

from offload_lab.process.background import Background

LOOPBACK = "127.0.0.1"
PASS_ON_S = 10.0  # for an end to read what the other sends; one that does not is closed
RESET_ON_CLOSE = struct.pack("ii", 1, 0)  # SO_LINGER with no time left: the other end gets a reset, not an end


class Relay:
    """Listens at `port` and relays to `target`. While `cut`, nothing passes: no byte, no end, no new connection."""

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
        self._thread = Background("the relay", self._relay, self._end)

    def cut(self, timeout_s=30.0):
        """Returns once nothing passes.

        Raises: TimeoutError, or what ended the relay's thread.
        """
        self._idle.clear()
        self._open.clear()
        self._thread.wait_until(self._idle.is_set, timeout_s, lambda: f"the relay is still busy after {timeout_s:g} s")

    def restore(self):
        """The network is back. It has forgotten every other connection, and both their ends get a reset."""
        self._resets = 2
        self._open.set()

    def _relay(self):
        while not self._stop.is_set():
            if not self._open.is_set():
                self._idle.set()
                while not self._open.wait(1.0):  # `_end` opens it; looked at again in case that was before the cut
                    if self._stop.is_set():
                        return
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
        ours.settimeout(PASS_ON_S)
        try:
            theirs = socket.create_connection((LOOPBACK, self._target), PASS_ON_S)
        except OSError:
            ours.close()
            return
        for end, other in ((ours, theirs), (theirs, ours)):
            self._peers[end] = other
            self._selector.register(end, selectors.EVENT_READ)

    def _pass_on(self, end):
        try:
            if chunk := end.recv(65536):
                self._peers[end].sendall(chunk)
                return
        except OSError:
            pass
        self._close(end)

    def _close(self, first, reset=False):
        for end in (first, self._peers.pop(first)):
            self._peers.pop(end, None)
            self._selector.unregister(end)
            if reset:
                end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)
            end.close()

    def _end(self):
        self._stop.set()
        self._open.set()

    def __enter__(self):
        self._thread.__enter__()
        return self

    def __exit__(self, *why):
        try:
            self._thread.__exit__(*why)
        finally:
            for end in [*self._peers, self._listener]:
                end.close()
            self._selector.close()
