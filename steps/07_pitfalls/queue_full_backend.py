"""Backend: sends each client the whole timetable every second, which is much for one offload thread to proxy."""

import time

TIMETABLE = b"data: " + b"x" * 60_000 + b"\n\n"


def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/event-stream"), ("Cache-Control", "no-store")])
    while True:
        yield TIMETABLE
        time.sleep(1)
