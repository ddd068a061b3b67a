"""One reader of a feed for the whole process, and a bounded queue for each of its clients."""

import os
from collections import defaultdict
from contextlib import contextmanager

import gevent
from gevent.event import Event

from . import feed as feeds

WAIT_MS = 2000  # for the next entry, before Redis is asked again
PAUSE_S = 0.2  # before a Redis that is away is tried again
RETRY_S = 0.35  # before a client's question to it is
QUEUE_LIMIT = 200  # entries that wait for one client


class MissedError(Exception):
    """The client's last entry is no longer, or never was, in the history: it has missed something."""


class Client:
    """One connection: the entries that wait for it, until `ended` says why there will be no more.

    `last` is the id up to which it has had everything.
    """

    def __init__(self, channels, last):
        self.channels, self.last, self.ended = channels, last, None
        self._queue, self._news = [], Event()

    def put(self, entry):
        if len(self._queue) == QUEUE_LIMIT:
            self.end("stalled")
        else:
            self._queue.append(entry)
            self._news.set()

    def end(self, reason):
        """Drop queued entries; a client that reconnects replays them from the history."""
        self._queue, self.ended = [], reason
        self._news.set()

    def take(self, wait_s):
        """All queued entries, as soon as there are any; none after `wait_s`, or once it has ended."""
        self._news.wait(wait_s)
        self._news.clear()
        queued, self._queue = self._queue, []
        new = [entry for entry in queued if entry.position > feeds.position(self.last)]  # a replay had the others
        self.last = new[-1].id if new else self.last
        return new


class Hub:
    """Follows a feed from the moment it starts and puts every entry into the queues of its channel's clients."""

    def __init__(self, url, name):
        self.ready = Event()  # set once there is a place in the feed from which clients can start
        self._feed = feeds.Feed(feeds.connect(url), name)
        # for replays only, and few: thousands that reconnect at once share them
        self._history = feeds.Feed(feeds.connect(url, at_most=4), name)
        self._last = None
        self._clients = defaultdict(set)  # by channel
        # In the worker, which loads the app by itself (lazy-apps). Without its reader it would be silent for ever
        gevent.spawn(self._run).link_exception(lambda _: os._exit(1))

    @property
    def place(self):
        """The id of the last entry that was delivered."""
        return self._last.id

    def publish(self, channel, type, data):
        return self._history.publish(channel, type, data)

    @contextmanager
    def client(self, channels):
        """A new client. Its queue gets every entry of its channels behind `last`, whatever else is done meanwhile."""
        client = Client(channels, self._last.id)
        for channel in channels:
            self._clients[channel].add(client)  # no gap before this: a greenlet is left only where it waits
        try:
            yield client
        finally:
            self._discard(client)

    def replay(self, client, after):
        """What was published in the client's channels behind the id `after`, in lists; None: waiting for Redis.

        Raises: MissedError where the history does not reach back to `after`.
        """
        page = None
        while page is None or len(page) > feeds.PAGE:
            page = []
            if feeds.position(after):
                page = yield from self._retry_until_available(after)
            if not page:
                raise MissedError(after)
            client.last = after = page[-1].id
            yield [entry for entry in page[1:] if entry.channel in client.channels]

    def _retry_until_available(self, after):
        while True:
            try:
                return self._history.page_from(after)
            except feeds.PASSING:
                yield None
                gevent.sleep(feeds.jitter(RETRY_S))

    def _run(self):
        while True:
            try:
                if self._last is None:
                    self._last = self._feed.newest()
                    self.ready.set()
                for entry in self._feed.wait_for_more(self._last.id, WAIT_MS):
                    self._deliver(entry)
            except feeds.PASSING:
                gevent.sleep(PAUSE_S)  # then continue where we were: nothing twice, nothing left out

    def _deliver(self, entry):
        if entry.number != self._last.number + 1:
            # Stopped for longer than the history lasts, or Redis lost its file. All reconnect, and the history tells
            # each by its last id whether it missed something.
            for client in {client for clients in self._clients.values() for client in clients}:
                client.end("gap")
                self._discard(client)
        self._last = entry
        for client in list(self._clients.get(entry.channel, ())):
            client.put(entry)
            if client.ended:
                self._discard(client)

    def _discard(self, client):
        for channel in client.channels:
            clients = self._clients[channel]
            clients.discard(client)
            if not clients:
                del self._clients[channel]
