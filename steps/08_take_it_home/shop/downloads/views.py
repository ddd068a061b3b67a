"""Django decides who gets which file; nginx sends it, ranges and HEAD included (X-Accel-Redirect)."""

import os
from mimetypes import MimeTypes
from pathlib import Path
from urllib.parse import quote

from django.conf import settings
from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

TYPES = MimeTypes()  # Python's own table, the same on every machine
UNSAFE_IN_QUOTES = '"\\%'  # of these browsers make different things inside filename="…"


@login_required
@require_safe
def page(request):
    names = sorted(
        str(path.relative_to(settings.DOWNLOADS)) for path in settings.DOWNLOADS.rglob("*") if path.is_file()
    )
    return render(request, "downloads/page.html", {"names": names})


# >>> download
@login_required
@require_safe
def download(request, name):
    path = find(name)
    if path is None:
        raise Http404
    response = HttpResponse(content_type=content_type(path.name))
    response["Content-Disposition"] = content_disposition(path.name)
    response["Content-Security-Policy"] = "default-src 'none'; sandbox"
    # a URL, not a path: nginx looks it up in a location that no client can ask for
    response["X-Accel-Redirect"] = quote(b"/protected/" + os.fsencode(path.relative_to(settings.DOWNLOADS.resolve())))
    del response["Content-Length"]
    return response


# <<<


def find(name):
    """The regular file of that name inside the folder, links resolved; None for anything else."""
    folder = settings.DOWNLOADS.resolve()
    try:
        path = Path(os.fsdecode(os.fsencode(folder) + b"/" + name.encode("utf-8", "surrogateescape"))).resolve(
            strict=True
        )
    except (OSError, ValueError):  # not there, too long, a loop of links, a NUL
        return None
    return path if path.is_relative_to(folder) and path.is_file() else None


def content_type(name):
    """By the ending alone. A packed file (.tar.gz) is sent as it is, and so is of no type that a browser unpacks."""
    kind, packed_with = TYPES.guess_type(name)
    return kind if kind and not packed_with else "application/octet-stream"


def content_disposition(name):
    """RFC 6266: `filename` in plain ASCII for old clients, `filename*` with all of the name."""
    plain = "".join(letter if " " <= letter <= "~" and letter not in UNSAFE_IN_QUOTES else "_" for letter in name)
    whole = quote(os.fsencode(name).decode("utf-8", "replace"), safe="")  # U+FFFD for bytes that are not UTF-8
    return f"attachment; filename=\"{plain}\"; filename*=UTF-8''{whole}"
