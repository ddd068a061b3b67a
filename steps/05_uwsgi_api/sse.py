"""The clock as server-sent events, for whoever Django sent here."""

import json
import sys
import time
from urllib.parse import unquote

import gevent

TICK_S = float(sys.argv[2])


def application(environ, start_response):
    user = unquote(environ["OFFLOAD_VISITOR"])
    start_response("200 OK", [("Content-Type", "text/event-stream"), ("Cache-Control", "no-cache")])
    while True:
        yield f"data: {json.dumps({'user': user, 'time': time.strftime('%H:%M:%S')})}\n\n".encode()
        gevent.sleep(TICK_S)
