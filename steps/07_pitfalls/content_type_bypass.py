"""A gevent app that checks nothing: a client that reaches it must have been authorised by Django."""

from events import tickets


def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/event-stream"), ("Cache-Control", "no-store")])
    return tickets("a member")
