"""The gevent app on a private socket. It trusts its environ, since only our own front can open that socket."""

from urllib.parse import unquote

from events import last_ticket, tickets

HEADERS = [
    ("Content-Type", "text/event-stream"),
    ("Cache-Control", "no-store"),
    ("X-Accel-Buffering", "no"),  # nginx would collect events until a buffer is full
    ("X-Content-Type-Options", "nosniff"),
]


# >>> listen
def application(environ, start_response):
    if not environ.get("X_OFFLOAD"):
        start_response("403 Forbidden", [("Content-Type", "text/plain")])
        return [b"no user in X_OFFLOAD\n"]
    start_response("200 OK", HEADERS)
    return bare(environ)


def bare(environ, start_response=None):
    """Never calls start_response: the front has sent Django's headers already."""
    if not environ.get("X_OFFLOAD"):
        return []
    return tickets(
        unquote(environ["X_OFFLOAD"]),  # Django encodes it: no name breaks a header or a variable
        after=last_ticket(environ.get("HTTP_LAST_EVENT_ID", "")),
        **{name[4:].lower(): value for name, value in environ.items() if name.startswith("SSE_")},
    )


# <<<
