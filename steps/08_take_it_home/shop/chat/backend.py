"""The gevent app behind the front: WebSockets. It trusts its environ, since only the front can open its socket.

wsproto knows the protocol, gevent waits, uWSGI lends the connection. A message goes to Redis, and from there to the
clients of every process on every host, this one's included. No Django in here.
"""

import json
import os
import signal
from functools import lru_cache
from urllib.parse import parse_qs, unquote

import gevent
from offload.feed import PASSING
from offload.hub import Hub, MissedError

from .connection import Closed, Connection
from .handshake import switch_protocols

CHANNELS = ["chat"]

hub = Hub(os.environ["REDIS_URL"], "chat")
connections = set()


def application(environ, start_response):
    if environ.get("OFFLOAD_TO", "").partition("-")[0] != "chat" or not environ.get("OFFLOAD_USER"):
        start_response("403 Forbidden", [("Content-Type", "text/plain")])
        return [b"not authorised by Django\n"]
    user = unquote(environ["OFFLOAD_USER"])
    after = parse_qs(environ.get("QUERY_STRING", "")).get("after", [""])[0]
    try:
        switch_protocols(environ, start_response)
    except OSError:  # the client has left
        return []
    with Connection() as connection:
        connections.add(connection)
        sender = gevent.spawn(send_messages, connection, after)
        try:
            for text in connection.messages():
                post(connection, user, text)
        except Closed:
            pass
        finally:
            sender.kill()
            connections.discard(connection)
    return []


def post(connection, user, text):
    try:
        hub.publish("chat", "message", {"user": user, "text": text})
    except PASSING:
        connection.send_text(json.dumps({"error": "not sent: no Redis just now"}))


def send_messages(connection, after):
    """The messages behind the id `after`, if there is one, and all that follow."""
    hub.ready.wait()
    with hub.client(CHANNELS) as client:
        connection.send_text(json.dumps({"id": after or client.last, "pid": os.getpid()}))
        if after:
            replay(connection, client, after)
        while not client.ended:
            send(connection, client.take(None))
    connection.disconnect()  # it reconnects, and the history has what it did not get


def replay(connection, client, after):
    try:
        for entries in hub.replay(client, after):
            send(connection, entries or [])
    except MissedError:  # the history does not reach back that far
        connection.send_text(json.dumps({"id": client.last, "reset": True}))


def send(connection, entries):
    for entry in entries:
        connection.send_text(message(entry))


@lru_cache(maxsize=256)
def message(entry):
    """The same text for every client, made once."""
    return json.dumps({"id": entry.id, **json.loads(entry.data)}, ensure_ascii=False)


def close_all():
    while connections:
        connections.pop().go_away()


# uWSGI stops a gevent worker with the one and waits for nothing, reloads it with the other and waits for all, for 60 s.
# In greenlets, since these start after it has set its own handlers.
for number in (signal.SIGINT, signal.SIGHUP):
    gevent.spawn(gevent.signal_handler, number, close_all)
