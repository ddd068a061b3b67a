"""Django Channels: a consumer for the streams, Django for the rest."""

import asyncio
from contextlib import suppress
from typing import Any
from urllib.parse import parse_qs

from channels.auth import AuthMiddlewareStack
from channels.exceptions import StopConsumer
from channels.generic.http import AsyncHttpConsumer
from channels.routing import ProtocolTypeRouter, URLRouter
from django.urls import path, re_path  # type: ignore[import-untyped]

from .asgi import application as django
from .feeds import astream

TEXT = [(b"Content-Type", b"text/plain")]
STREAM = [(b"Content-Type", b"text/event-stream"), (b"Cache-Control", b"no-store")]


class Subscription(AsyncHttpConsumer):  # type: ignore[misc]
    """The documented loop inside handle() never learns that its client left; a task leaves room for http.disconnect."""

    task: asyncio.Task[None] | None = None

    async def http_request(self, message: dict[str, Any]) -> None:
        if not self.scope["user"].is_authenticated:
            await self.send_response(403, b"log in first\n", headers=TEXT)
            raise StopConsumer
        [feed] = parse_qs(self.scope["query_string"].decode())["feed"]
        await self.send_headers(headers=STREAM)
        self.task = asyncio.create_task(self.publish(feed))

    async def publish(self, feed: str) -> None:
        with suppress(OSError):  # the server's way to say that the client left
            async for event in astream(feed):
                await self.send_body(event, more_body=True)

    async def disconnect(self) -> None:
        if self.task:
            self.task.cancel()


routes = [path("subscribe", AuthMiddlewareStack(Subscription.as_asgi())), re_path("", django)]
application = ProtocolTypeRouter({"http": URLRouter(routes)})
