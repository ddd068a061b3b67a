"""A site with sessions, as far as the stats server is concerned: it reads all that a client sends."""

from offload_lab.stages.site import with_ping


@with_ping
def application(environ, start_response):
    environ["wsgi.input"].read()
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"received\n"]
