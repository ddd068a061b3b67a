"""The board itself, the same for both backends: who is there, and what everyone is told. It never touches a socket."""

import json
import time

import gevent
from gevent.lock import Semaphore


class Board:
    """Whoever joins hears the clock and everybody's messages, their own included.

    A visitor is anything with a `tell(text)` that returns at once.
    """

    def __init__(self, tick_s: float) -> None:
        self.visitors = set()
        self._one_at_a_time = Semaphore()
        gevent.spawn(self._clock, tick_s)

    def post(self, user: str, text: str) -> None:
        """Tell everybody. Between two messages every visitor's greenlet has its turn to send.

        Else hundreds who write at the same moment would fill the outbox of each, and all would look as if none reads.
        """
        with self._one_at_a_time:
            self._tell_all(user=user, text=text)
            gevent.sleep(0)

    def _clock(self, tick_s: float) -> None:
        while True:
            gevent.sleep(tick_s)
            self._tell_all(time=time.strftime("%H:%M:%S"), visitors=len(self.visitors))

    def _tell_all(self, **news) -> None:
        text = json.dumps(news, ensure_ascii=False)
        for visitor in list(self.visitors):  # a copy: telling one may end their visit
            visitor.send_text(text)
