"""Front: authorises every client. On a real site Django decides, and answers the same way."""

from offload_lab.stages.site import with_ping


@with_ping
def application(environ, start_response):
    start_response("200 OK", [("X-Offload-to-SSE", "ada")])
    return []
