"""websockets: ``async for`` comes back by itself, with a backoff that the environment sets (WEBSOCKETS_BACKOFF_…)."""

import asyncio
import ssl

from contract import CERTIFICATE, COOKIE, origin, say, targets
from websockets.asyncio.client import connect, process_exception
from websockets.exceptions import ConnectionClosed

TRUST = ssl.create_default_context(cafile=CERTIFICATE)


async def follow(at, protocol, url):
    def judge(error):
        verdict = process_exception(error)
        say(at, "failed" if verdict is None else "given up", why=repr(error))
        return verdict

    tls = {"ssl": TRUST} if url.startswith("wss:") else {}
    headers = {"Cookie": COOKIE}
    async for socket in connect(
        url, origin=origin(url), additional_headers=headers, process_exception=judge, proxy=None, **tls
    ):
        say(at, "open")
        try:
            async for message in socket:
                say(at, "event", data=message)
        except ConnectionClosed:
            pass  # the code says why
        say(at, "closed", code=socket.close_code)


async def main():
    await asyncio.gather(*(follow(*target) for target in targets()))


asyncio.run(main())
