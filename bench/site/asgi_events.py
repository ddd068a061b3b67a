"""Starlette behind nginx: streams that Django has authorised. Only nginx can open its socket; no Django here."""

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import StreamingResponse
from starlette.routing import Route

from .feeds import STREAM, astream
from .memory import freeze


async def events(request: Request) -> StreamingResponse:
    return StreamingResponse(astream(request.query_params["feed"]), headers=STREAM)


application = Starlette(routes=[Route("/-events", events)])
freeze()
