"""Front: passes on a message of `?bytes=`, careless or careful. Backend: answers with the length that arrived."""

from urllib.parse import parse_qs

from offload_lab.stages.site import with_ping

LONGEST = 8192  # bytes: half of the front's buffer, the other half is for what the client sends


def message_in(environ):
    [size] = parse_qs(environ["QUERY_STRING"]).get("bytes", ["0"])
    return "m" * int(size)


@with_ping
def careless(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain"), ("X-Message", message_in(environ))])
    return [b"nothing to pass on\n"]


@with_ping
def careful(environ, start_response):
    if len(message_in(environ)) > LONGEST:
        start_response("413 Content Too Large", [("Content-Type", "text/plain")])
        return [b"store it, and pass on where it is\n"]
    return careless(environ, start_response)


def backend(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [f"{len(environ['MESSAGE'])} bytes arrived\n".encode()]
