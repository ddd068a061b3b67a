"""One WebSocket connection of a test through nginx with TLS, by the `websockets` library."""

import asyncio
import json
import ssl
import threading
from contextlib import contextmanager

import pytest

from offload_lab.timeouts import scaled

from .conftest import TIMEOUT_S


class Talker:
    """One connection of the `websockets` library's asyncio client, for tests that are no coroutines.

    The library's blocking client reads and writes one SSL object in two threads, and the CPython of most machines does
    that without a lock (gh-134698). Measured with 3.11.7 through nginx: of 9,600 connections 28 had no answer, and
    none of 9,600 with this client.
    """

    def __init__(self, loop, connection):
        self.loop, self.connection = loop, connection

    def wait(self, coroutine):
        return wait(self.loop, coroutine)

    def send(self, message):
        self.wait(self.connection.send(message))

    def receive(self):
        return json.loads(self.wait(self.connection.recv()))

    def ping(self):
        """Returns once the pong is there."""

        async def there_and_back():
            await (await self.connection.ping())

        self.wait(there_and_back())

    def close(self, code, reason):
        self.wait(self.connection.close(code, reason))

    @property
    def close_code(self):
        return self.connection.close_code


def wait(loop, coroutine):
    """What `coroutine` returns.

    Raises: what `coroutine` raises, or TimeoutError.
    """
    return asyncio.run_coroutine_threadsafe(asyncio.wait_for(coroutine, scaled(TIMEOUT_S)), loop).result()


@contextmanager
def running_loop():
    """An event loop in a thread of its own: keepalive pings are answered while the test does something else."""
    with asyncio.Runner() as runner:
        loop = runner.get_loop()
        thread = threading.Thread(target=loop.run_forever)
        thread.start()
        try:
            yield loop
        finally:
            loop.call_soon_threadsafe(loop.stop)
            thread.join()


@contextmanager
def talking(shop, user, path="/ws", **changes):
    """Yields a `Talker` and its greeting."""
    client = pytest.importorskip("websockets.asyncio.client")
    trust = ssl.create_default_context(cafile=str(shop.proxy.certificate))
    url = shop.https.replace("https", "wss") + path
    headers = {"Cookie": user.cookie} if user else {}
    options = {"origin": shop.https, "additional_headers": headers, "open_timeout": scaled(TIMEOUT_S), **changes}

    async def connect():
        return await client.connect(url, ssl=trust, **options)

    with running_loop() as loop:
        talker = Talker(loop, wait(loop, connect()))
        try:
            yield talker, talker.receive()
        finally:
            talker.wait(talker.connection.close())
