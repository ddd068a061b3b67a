"""What every driver is given, and what it prints: the same for each client, whatever it is written in.

``driver PROTOCOL=URL…`` connects to every URL (`h1` or `h2`), says so, and comes back whenever a connection ends, as
its client's own documentation advises. The environment has LAB_COOKIE, the header's value, LAB_CA, the certificate to
trust, and LAB_TYPES, the events to listen for. Each line of output is one JSON object: `at`, the URL's place on the
command line, and `is`, one of

- ``open``: a stream or a WebSocket was accepted
- ``event``, with `id`, `type` and `data`: one event, or one message
- ``closed``, with `code` where the protocol has one: what was open has ended, and the client will come back
- ``failed``, with `why`: an attempt to come back was refused or not answered; another will follow
- ``given up``, with `why`: there will be no further attempt
"""

import json
import os
import sys
import threading
import traceback

COOKIE = os.environ["LAB_COOKIE"]
CERTIFICATE = os.environ["LAB_CA"]
RETRY_S = 1.0  # until a stream says otherwise


def targets():
    """(place, protocol, URL) of each."""
    return [(at, *word.split("=", 1)) for at, word in enumerate(sys.argv[1:])]


def say(at, what, **more):
    sys.stdout.write(json.dumps({"at": at, "is": what, **more}) + "\n")
    sys.stdout.flush()


def origin(url):
    """What a browser would send for a page of the same server."""
    scheme, _, rest = url.partition("://")
    return f"{'https' if scheme in ('https', 'wss') else 'http'}://{rest.partition('/')[0]}"


def each_in_a_thread(follow):
    """``follow(at, protocol, url)`` for all targets at once, until the process is ended."""

    def guarded(at, *target):
        try:
            follow(at, *target)
        except Exception:
            say(at, "given up", why=traceback.format_exc())

    for target in targets():
        threading.Thread(target=guarded, args=target, daemon=True).start()
    threading.Event().wait()
