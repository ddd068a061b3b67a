"""Django's async streaming with eight threads for all requests, where Django takes one for each request that streams.

The outermost context of asgiref decides which thread runs the synchronous parts of a request: here one of eight, in
turn. Django's own context, inside, then has no effect. A view that blocks delays the requests of the same thread.
"""

from collections.abc import Awaitable, Callable, MutableMapping
from concurrent.futures import ThreadPoolExecutor
from itertools import cycle
from typing import Any

from asgiref.sync import ThreadSensitiveContext

from .asgi import application as django

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Scope]]
Send = Callable[[Scope], Awaitable[None]]

THREADS = 8
executors = cycle([ThreadPoolExecutor(max_workers=1) for _ in range(THREADS)])


async def application(scope: Scope, receive: Receive, send: Send) -> None:
    async with ThreadSensitiveContext(executor=next(executors)):
        await django(scope, receive, send)
