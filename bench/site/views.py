"""Django authorises; what holds the stream then differs between the servers, and nothing else does (BENCH_WAY)."""

import ctypes
import os
from urllib.parse import quote

from django.http import FileResponse, HttpRequest, HttpResponse, HttpResponseForbidden, StreamingHttpResponse  # type: ignore[import-untyped]

from offload_lab.stages.site import run_folder

from .feeds import ALL, FEEDS, FILE, SLOW_S, STREAM, stream

WAY = os.environ["BENCH_WAY"]
PATH = str(run_folder() / FILE)


def ping(request: HttpRequest) -> HttpResponse:
    return HttpResponse("pong", content_type="text/plain")


def subscribe(request: HttpRequest) -> HttpResponse:
    if not request.user.is_authenticated:
        return HttpResponseForbidden("log in first\n", content_type="text/plain")
    return STREAMS[WAY](request.user.username, feed_of(request))


def feed_of(request: HttpRequest) -> str:
    feed: str = request.GET.get("feed", ALL)
    return feed if feed in FEEDS else ALL


def file(request: HttpRequest) -> HttpResponse:
    if not request.user.is_authenticated:
        return HttpResponseForbidden("log in first\n", content_type="text/plain")
    return FILES[WAY]()


def slow(request: HttpRequest) -> HttpResponse:
    """Blocks in a C function, as a database driver written in C does: no server can make that cooperative."""
    ctypes.CDLL(None).sleep(SLOW_S)
    return HttpResponse("at last", content_type="text/plain")


def delegated(**headers: str) -> HttpResponse:
    """An empty response whose headers tell the server in front what to do."""
    return HttpResponse(headers={name.replace("_", "-"): value for name, value in headers.items()})


STREAMS = {
    "itself": lambda user, feed: StreamingHttpResponse(stream(feed), headers=STREAM),
    "offload": lambda user, feed: delegated(X_Offload_to_SSE=quote(user)),
    "accel": lambda user, feed: delegated(X_Accel_Redirect=f"/-events?user={quote(user)}&feed={feed}"),
    "nchan": lambda user, feed: delegated(X_Accel_Redirect=f"/-feed/{feed}"),
    "grip": lambda user, feed: HttpResponse(
        ": welcome\n\n", headers={**STREAM, "Grip-Hold": "stream", "Grip-Channel": feed}
    ),
}

FILES = {
    "itself": lambda: FileResponse(open(PATH, "rb")),  # noqa: SIM115 (the response closes it)
    "offload": lambda: delegated(X_Sendfile=PATH),
    "accel": lambda: delegated(X_Accel_Redirect="/-file"),
}
