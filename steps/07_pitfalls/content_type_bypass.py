"""A gevent app that checks nothing: whoever arrives here must have been let in by Django."""

from events import tickets


def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/event-stream"), ("Cache-Control", "no-store")])
    return tickets("a member")
