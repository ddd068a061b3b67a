"""The same views for ASGI."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

from django.http import HttpRequest, HttpResponse, HttpResponseForbidden, StreamingHttpResponse  # type: ignore[import-untyped]

from .feeds import STREAM, astream
from .views import PATH, feed_of

CHUNK_BYTES = 64 * 1024


async def ping(request: HttpRequest) -> HttpResponse:
    return HttpResponse("pong", content_type="text/plain")


async def subscribe(request: HttpRequest) -> HttpResponse:
    if not (await request.auser()).is_authenticated:
        return HttpResponseForbidden("log in first\n", content_type="text/plain")
    return StreamingHttpResponse(astream(feed_of(request)), headers=STREAM)


async def file(request: HttpRequest) -> HttpResponse:
    if not (await request.auser()).is_authenticated:
        return HttpResponseForbidden("log in first\n", content_type="text/plain")
    return StreamingHttpResponse(chunks(Path(PATH)), content_type="application/octet-stream")


async def chunks(path: Path) -> AsyncIterator[bytes]:
    """FileResponse is for WSGI: under ASGI Django reads the whole file before it sends the first byte."""
    with path.open("rb") as opened:
        while chunk := await asyncio.to_thread(opened.read, CHUNK_BYTES):
            yield chunk
