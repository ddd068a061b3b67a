"""Behind: whoever comes gets the whole timetable, and again every second: much for one offload thread to carry."""

import time

TIMETABLE = b"data: " + b"x" * 60_000 + b"\n\n"


def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/event-stream"), ("Cache-Control", "no-store")])
    while True:
        yield TIMETABLE
        time.sleep(1)
