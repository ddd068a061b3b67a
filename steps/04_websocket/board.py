"""The board itself, the same for both backends: the connected clients and their messages. It never touches a socket."""

import json
import time

import gevent
from gevent.lock import Semaphore


class Board:
    """Sends each of its clients the clock and all messages, the client's own included.

    A client is any object with a `tell(text)` that returns at once.
    """

    def __init__(self, tick_s: float) -> None:
        self.clients = set()
        self._one_at_a_time = Semaphore()
        gevent.spawn(self._clock, tick_s)

    def post(self, user: str, text: str) -> None:
        """Send a message to all clients. Between two messages every client's greenlet has its turn to send.

        Else hundreds that write at the same moment would fill every outbox, and no client would seem to read.
        """
        with self._one_at_a_time:
            self._broadcast(user=user, text=text)
            gevent.sleep(0)

    def _clock(self, tick_s: float) -> None:
        while True:
            gevent.sleep(tick_s)
            self._broadcast(time=time.strftime("%H:%M:%S"), clients=len(self.clients))

    def _broadcast(self, **news) -> None:
        text = json.dumps(news, ensure_ascii=False)
        for client in list(self.clients):  # a copy: sending may disconnect one
            client.send_text(text)
