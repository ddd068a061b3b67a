"""Django decides; who carries what it said yes to is another matter, and the only thing that differs (BENCH_WAY)."""

import ctypes
import os
from urllib.parse import quote

from django.http import FileResponse, HttpResponse, HttpResponseForbidden, StreamingHttpResponse

from offload_lab.stages.site import run_folder

from .feeds import ALL, FEEDS, FILE, SLOW_S, listen

WAY = os.environ["BENCH_WAY"]
PATH = str(run_folder() / FILE)
STREAM = {"Content-Type": "text/event-stream", "Cache-Control": "no-store"}


def ping(request):
    return HttpResponse("pong", content_type="text/plain")


def subscribe(request):
    if not request.user.is_authenticated:
        return HttpResponseForbidden("log in first\n", content_type="text/plain")
    return STREAMS[WAY](request.user.username, feed_of(request))


def feed_of(request):
    feed = request.GET.get("feed")
    return feed if feed in FEEDS else ALL


def file(request):
    if not request.user.is_authenticated:
        return HttpResponseForbidden("log in first\n", content_type="text/plain")
    return FILES[WAY]()


def slow(request):
    """A call that no server can make cooperative: a C function that waits, as a database driver written in C does."""
    ctypes.CDLL(None).sleep(SLOW_S)
    return HttpResponse("at last", content_type="text/plain")


def handed_over(**headers):
    """An empty answer that tells the server in front what to do."""
    return HttpResponse(headers={name.replace("_", "-"): value for name, value in headers.items()})


STREAMS = {
    "itself": lambda user, feed: StreamingHttpResponse(listen(feed), headers=STREAM),
    "offload": lambda user, feed: handed_over(X_Offload_to_SSE=quote(user)),
    "accel": lambda user, feed: handed_over(X_Accel_Redirect=f"/-events?user={quote(user)}&feed={feed}"),
    "nchan": lambda user, feed: handed_over(X_Accel_Redirect=f"/-feed/{feed}"),
    "grip": lambda user, feed: HttpResponse(
        ": welcome\n\n", headers={**STREAM, "Grip-Hold": "stream", "Grip-Channel": feed}
    ),
}

FILES = {
    "itself": lambda: FileResponse(open(PATH, "rb")),  # noqa: SIM115 (the response closes it)
    "offload": lambda: handed_over(X_Sendfile=PATH),
    "accel": lambda: handed_over(X_Accel_Redirect="/-file"),
}
