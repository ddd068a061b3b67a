"""In front: whoever asks for the stream may have it. In a real hall Django decides, and answers the same way."""

from offload_lab.stages.site import with_ping


@with_ping
def application(environ, start_response):
    start_response("200 OK", [("X-Offload-to-SSE", "ada")])
    return []
