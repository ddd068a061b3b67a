"""The same views for ASGI."""

import asyncio
from pathlib import Path

from django.http import HttpResponse, HttpResponseForbidden, StreamingHttpResponse

from .feeds import alisten
from .views import PATH, STREAM, feed_of

CHUNK_BYTES = 64 * 1024


async def ping(request):
    return HttpResponse("pong", content_type="text/plain")


async def subscribe(request):
    if not (await request.auser()).is_authenticated:
        return HttpResponseForbidden("log in first\n", content_type="text/plain")
    return StreamingHttpResponse(alisten(feed_of(request)), headers=STREAM)


async def file(request):
    if not (await request.auser()).is_authenticated:
        return HttpResponseForbidden("log in first\n", content_type="text/plain")
    return StreamingHttpResponse(chunks(Path(PATH)), content_type="application/octet-stream")


async def chunks(path):
    """FileResponse is for WSGI: under ASGI Django would read all of the file before it sends the first byte."""
    with path.open("rb") as opened:
        while chunk := await asyncio.to_thread(opened.read, CHUNK_BYTES):
            yield chunk
