"""Requests that no app should see, as uWSGI leaves them in `environ`, and the status for each.

uWSGI's HTTP parser checks neither the request line nor whether everything fits: what is missing or does not fit into
``buffer-size`` is left out of `environ`, and the request goes on without it.
"""

import re
from collections.abc import Callable, Iterable
from typing import Any

WSGIApplication = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]

MOST_HEADERS = 100  # as Apache's LimitRequestFields; a backend's uWSGI takes 128 variables unless told otherwise
MOST_BYTES = 56 * 1024  # of variables; the other 8 KiB of a packet are for what the app and the routes add
# uWSGI logs method and target from a buffer of 4,096 bytes, and of a longer line the memory behind it, secrets included
LONG_TARGET = 3_500
LONG_METHOD = 40
TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")  # RFC 9110, 5.6.2
VERSION = re.compile(r"HTTP/[0-9]\.[0-9]")  # RFC 9112, 2.3
ALWAYS_THERE = ("PATH_INFO", "QUERY_STRING", "SERVER_PROTOCOL", "SERVER_NAME", "SERVER_PORT")

BAD_REQUEST = "400 Bad Request"
TOO_LONG = "414 URI Too Long"
TOO_MANY_HEADERS = "431 Request Header Fields Too Large"


def refusal(environ: dict[str, Any]) -> str | None:
    """The status for a request that is none or did not fit, else None."""
    if "SERVER_PROTOCOL" not in environ and "REQUEST_URI" not in environ:
        return BAD_REQUEST  # a request line of two words, as in HTTP/0.9, or of one
    if any(name not in environ for name in ALWAYS_THERE):
        return TOO_LONG  # these are added before the headers, so only the target can have taken their room
    if not TOKEN.fullmatch(environ["REQUEST_METHOD"]) or not VERSION.fullmatch(environ["SERVER_PROTOCOL"]):
        return BAD_REQUEST
    if len(environ["REQUEST_METHOD"]) > LONG_METHOD:
        return BAD_REQUEST
    if len(environ.get("REQUEST_URI", "")) > LONG_TARGET:
        return TOO_LONG
    if packet_bytes(environ) > MOST_BYTES or sum(name.startswith("HTTP_") for name in environ) > MOST_HEADERS:
        return TOO_MANY_HEADERS
    return None


def packet_bytes(environ: dict[str, Any]) -> int:
    """What the variables take in uWSGI's buffer: name and value, each with its length in two bytes."""
    return sum(len(name) + len(value) + 4 for name, value in environ.items() if isinstance(value, str))


def with_refusals(application: WSGIApplication) -> WSGIApplication:
    """Answer what `refusal` names before `application` sees it."""

    def outer(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        status = refusal(environ)
        if status is None:
            return application(environ, start_response)
        # no Content-Type: a front that pulls it keeps it in the buffer, and there may be no room left
        start_response(status, [("Connection", "close")])
        return [f"{status}\n".encode()]

    return outer
