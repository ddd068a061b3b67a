"""One reader of the feed for the whole process, and its clients, each with a bounded queue that only it fills."""

from contextlib import contextmanager

import feed
import gevent
from gevent.event import Event

WAIT_MS = 2000  # for the next event, before Redis is asked again
PAUSE_S = 0.2  # before a Redis that is gone is tried again


class Client:
    """One open stream: its queued entries, at most `limit`, until `ended` says why there will be no more."""

    def __init__(self, start, limit):
        self.start, self.ended = start, None
        self._waiting, self._limit, self._news = [], limit, Event()

    def put(self, entry):
        if len(self._waiting) == self._limit:
            self.end("stalled")
        else:
            self._waiting.append(entry)
            self._news.set()

    def end(self, why):
        """Drop queued entries; a client that reconnects replays them from the history."""
        self._waiting, self.ended = [], why
        self._news.set()

    def take(self, wait_s):
        """All queued entries, as soon as there are any; none after `wait_s`, or once the stream is ended."""
        self._news.wait(wait_s)
        self._news.clear()
        taken, self._waiting = self._waiting, []
        return taken


class Hub:
    """Follows the feed from the moment it starts and queues every entry for every client, without waiting for any."""

    def __init__(self, redis, queue_limit):
        self.clients = set()
        self.ready = Event()  # set once there is a place in the feed from which clients can start
        self._redis, self._queue_limit = redis, queue_limit
        self._last = None

    def run(self):
        while True:
            try:
                if self._last is None:
                    self._last = feed.newest(self._redis)
                    self.ready.set()
                for entry in feed.wait_for_more(self._redis, self._last.id, WAIT_MS):
                    self._deliver(entry)
            except feed.PASSING:
                gevent.sleep(PAUSE_S)  # then go on from `_last`: no entry is read twice, none is left out

    def _deliver(self, entry):
        if entry.number != self._last.number + 1:
            # This process slept for longer than the history, or Redis lost its file. All clients reconnect, and the
            # history tells for each, by its last event, whether it missed something.
            self._end(list(self.clients), "gap")
        self._last = entry
        for client in self.clients:
            client.put(entry)
        self._end([client for client in self.clients if client.ended], "stalled")

    def _end(self, clients, why):
        for client in clients:
            self.clients.discard(client)
            if not client.ended:
                client.end(why)

    @contextmanager
    def client(self):
        """A new client. Its queue gets every entry after `start`, whatever runs meanwhile."""
        client = Client(self._last.id, self._queue_limit)
        self.clients.add(client)  # nothing can come between these two lines: a greenlet is left only where it waits
        try:
            yield client
        finally:
            self.clients.discard(client)
