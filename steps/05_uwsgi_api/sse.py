"""The clock as server-sent events, for the connections that the front offloads."""

import json
import time
from urllib.parse import unquote

import gevent

from offload_lab.stages.site.arguments import argument

TICK_S = float(argument("tick_s"))


def application(environ, start_response):
    user = unquote(environ["OFFLOAD_USER"])
    start_response("200 OK", [("Content-Type", "text/event-stream"), ("Cache-Control", "no-cache")])
    yield b"retry: 1000\n"  # milliseconds until a client reconnects; a line of the first event, so no blank one
    while True:
        now = time.time()
        data = json.dumps({"user": user, "time": time.strftime("%H:%M:%S", time.localtime(now))})
        yield f"id: {now:.3f}\ndata: {data}\n\n".encode()
        gevent.sleep(TICK_S)
