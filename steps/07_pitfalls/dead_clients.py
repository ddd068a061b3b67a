"""Backend: clients wait for news, which may be hours away. A request for /news publishes some."""

from gevent.event import Event

from offload_lab.stages.site.arguments import argument

HEADERS = [("Content-Type", "text/event-stream"), ("Cache-Control", "no-store")]
news = Event()


def silent(environ, start_response):
    """Writes when there is news, and at no other time."""
    return wait_for_news(environ, start_response, heartbeat_s=None)


def alive(environ, start_response):
    """Writes a comment every so many seconds, which every reader of events skips."""
    return wait_for_news(environ, start_response, heartbeat_s=float(argument("heartbeat_s")))


def wait_for_news(environ, start_response, heartbeat_s):
    if environ["PATH_INFO"] == "/news":
        start_response("200 OK", [("Content-Type", "text/plain")])
        news.set()
        news.clear()
        return
    start_response("200 OK", HEADERS)
    yield b": welcome\n"
    while True:  # until a write fails, which is how uWSGI learns that the client has left
        yield b"data: news\n\n" if news.wait(heartbeat_s) else b": still here\n"
