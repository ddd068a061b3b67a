"""The same as a Django view: the login decides who, `allowed` decides which file, uWSGI sends it."""

import os

from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpResponse
from django.utils.http import http_date
from django.views.decorators.http import require_safe
from served_file import file_headers, header_bytes
from xsendfile import allowed


@login_required
@require_safe
def download(request, name):
    path = allowed(os.fsdecode(name.encode()))  # as the file system has it, whatever the locale
    if path is None or "\n" in path or "\r" in path:  # Django refuses line ends in headers
        raise Http404
    response = HttpResponse(headers=dict(file_headers(path)))
    if request.method == "HEAD":  # uWSGI sends nothing for it
        file = os.stat(path)
        response["Content-Length"], response["Last-Modified"] = file.st_size, http_date(file.st_mtime)
    else:
        response["X-Sendfile"] = header_bytes(path)
    return response
