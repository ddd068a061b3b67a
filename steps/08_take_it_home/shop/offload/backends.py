"""Choose a backend that takes a connection now, before uWSGI offloads one to it.

Once a request is offloaded Django cannot answer any more: a backend that is down is then a 502, which ends a browser's
EventSource for ever.
"""

import os
import random
import socket
import time

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

PING = bytes([100, 0, 0, 0])  # a packet that every uWSGI answers by itself, whatever its app does
ANSWER_S = float(os.environ.get("OFFLOAD_ANSWER_S", "0.5"))  # how long a worker waits for the answer
SILENCE_S = 1.0  # how long after a missing answer no other request waits for one

_silent_until = {}


def kinds():
    return dict.fromkeys(name.partition("-")[0] for name in settings.OFFLOAD_BACKENDS)


def choose(kind):
    """The name of a backend of this kind that is ready, `feed` or one of `feed-1`, `feed-2`…; None if none is.

    Raises: ImproperlyConfigured where OFFLOAD_BACKENDS names none of this kind.
    """
    names = [name for name in settings.OFFLOAD_BACKENDS if name.partition("-")[0] == kind]
    if not names:
        raise ImproperlyConfigured(f"OFFLOAD_BACKENDS has no {kind}")
    random.shuffle(names)
    return next((name for name in names if is_ready(settings.OFFLOAD_BACKENDS[name])), None)


def is_ready(address):
    """Whether the backend at `address`, a path or host:port, answers.

    It accepts in the order in which connections came: an answer means that it is not stuck, has a greenlet free, and
    that nothing older waits in its listen queue.
    """
    if time.monotonic() < _silent_until.get(address, 0):
        return False
    try:
        return answers(address)
    except TimeoutError:
        _silent_until[address] = time.monotonic() + SILENCE_S
    except OSError:
        pass  # nothing listens, or the listen queue is full: known at once
    return False


def answers(address):
    host, _, port = address.rpartition(":")
    family, target = (socket.AF_INET, (host, int(port))) if host else (socket.AF_UNIX, address)
    with socket.socket(family) as connection:
        connection.settimeout(ANSWER_S)
        connection.connect(target)
        connection.sendall(PING)
        return bool(connection.recv(1))
