"""Chooses the file and checks it; uWSGI sends it. The check is here because nothing after it checks again."""

import os
import stat
from email.utils import formatdate
from pathlib import Path
from urllib.parse import parse_qs

from served_file import file_headers, header_bytes

from offload_lab.stages.site import make_file, run_folder, with_ping
from offload_lab.stages.site.arguments import argument

SERVED = Path(os.path.realpath(run_folder() / "served"))
BIG = make_file(SERVED / "big.bin", mib=int(argument("mib")))


def asked_name(environ):
    """The file name in `?name=`, any bytes that a client may send, as Python's file functions take it."""
    query = parse_qs(environ["QUERY_STRING"], keep_blank_values=True, encoding="latin-1")
    return os.fsdecode(query.get("name", [BIG.name])[-1].encode("latin-1"))


def allowed(name):
    """The real path of the regular file `name` in SERVED, else None. `name` is the client's: it may be anything."""
    # >>> confine
    try:
        path = os.path.realpath(SERVED / name, strict=True)  # follows links; an absolute `name` replaces SERVED
        mode = os.stat(path).st_mode
    except (OSError, ValueError):  # not there, too long, a NUL byte
        return None
    inside = Path(path).is_relative_to(SERVED)
    return path if inside and stat.S_ISREG(mode) else None  # no folder, device, socket or fifo
    # <<<


def refuse(start_response, status, *headers):
    start_response(status, [("Content-Type", "text/plain; charset=utf-8"), *headers])
    return [f"{status}\n".encode()]


@with_ping
def application(environ, start_response):
    if environ["REQUEST_METHOD"] not in ("GET", "HEAD"):
        return refuse(start_response, "405 Method Not Allowed", ("Allow", "GET, HEAD"))
    name = asked_name(environ)
    path = allowed(name) if environ["PATH_INFO"] == "/file" else None
    if path is None:
        return refuse(start_response, "404 Not Found")
    headers = file_headers(path)
    if environ["REQUEST_METHOD"] == "HEAD":  # uWSGI's static action sends nothing for it
        file = os.stat(path)
        size, time = str(file.st_size), formatdate(file.st_mtime, usegmt=True)
        start_response("200 OK", [*headers, ("Content-Length", size), ("Last-Modified", time)])
        return []
    # >>> named
    start_response("200 OK", [("X-Sendfile", header_bytes(path)), *headers])
    # <<<
    return []
