"""Backend: step 03's app with fewer seats than greenlets, so that a greenlet is always left to refuse with."""

from reconnect_later import reconnect_later
from sseapp import application as stream

from offload_lab.stages.site.arguments import argument

SEATS = int(argument("seats"))
taken = 0


def application(environ, start_response):
    """A generator: checking and taking a seat happen in one go, with no other greenlet in between."""
    global taken
    if taken >= SEATS:
        yield from reconnect_later(start_response, "all seats are taken")
        return
    taken += 1
    try:
        yield from stream(environ, start_response)
    finally:  # uWSGI closes the generator when the client has left
        taken -= 1
