"""Behind: step 03's app with a doorkeeper, who has a greenlet to say no with as long as there are more than seats."""

from not_now import not_now
from sseapp import application as stream

from offload_lab.stages.site.arguments import argument

SEATS = int(argument("seats"))
taken = 0


def application(environ, start_response):
    """A generator, so that looking and sitting down happen in one go: no other greenlet comes in between."""
    global taken
    if taken >= SEATS:
        yield from not_now(start_response, "all seats are taken")
        return
    taken += 1
    try:
        yield from stream(environ, start_response)
    finally:  # uWSGI closes the generator when the visitor has left
        taken -= 1
