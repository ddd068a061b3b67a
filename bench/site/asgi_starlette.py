"""Starlette holds the streams and asks Django's session store who the user is; Django, mounted, has the rest."""

from types import SimpleNamespace

from django.conf import settings  # type: ignore[import-untyped]
from django.contrib.auth import aget_user  # type: ignore[import-untyped]
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import Mount, Route

from .asgi import application as django
from .feeds import ALL, STREAM, astream


async def subscribe(request: Request) -> Response:
    from django.contrib.sessions.backends.cached_db import SessionStore  # type: ignore[import-untyped]

    session = SessionStore(request.cookies.get(settings.SESSION_COOKIE_NAME))
    user = await aget_user(SimpleNamespace(session=session))
    if not user.is_authenticated:
        return PlainTextResponse("log in first\n", 403)
    return StreamingResponse(astream(request.query_params.get("feed", ALL)), headers=STREAM)


application = Starlette(routes=[Route("/subscribe", subscribe), Mount("/", django)])
