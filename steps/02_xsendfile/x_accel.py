"""Chooses the file and checks it; the nginx in front sends it, ranges and HEAD included (X-Accel-Redirect)."""

import os
from urllib.parse import quote

from served_file import file_headers
from xsendfile import SERVED, allowed, asked_name, refuse

from offload_lab.stages.site import with_ping


@with_ping
def application(environ, start_response):
    if environ["REQUEST_METHOD"] not in ("GET", "HEAD"):
        return refuse(start_response, "405 Method Not Allowed", ("Allow", "GET, HEAD"))
    path = allowed(asked_name(environ)) if environ["PATH_INFO"] == "/file" else None
    if path is None:
        return refuse(start_response, "404 Not Found")
    # a URL, not a path: nginx looks it up below its `root`, in a location that no client can ask for
    url = quote(os.fsencode(os.path.join("/served", os.path.relpath(path, SERVED))))
    start_response("200 OK", [("X-Accel-Redirect", url), *file_headers(path)])
    return []
