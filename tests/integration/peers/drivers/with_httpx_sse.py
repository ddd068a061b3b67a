"""httpx-sse. It does not come back by itself: the loop is the one of its README, under "Handling reconnections"."""

import ssl
import time

import httpx
from contract import CERTIFICATE, COOKIE, RETRY_S, each_in_a_thread, say
from httpx_sse import SSEError, connect_sse


def follow(at, protocol, url):
    last, retry_s = "", RETRY_S
    # its own: httpcore writes into the context which protocols this connection offers, and all connect at once
    trust = ssl.create_default_context(cafile=CERTIFICATE)
    with httpx.Client(
        http1=protocol == "h1", http2=protocol == "h2", verify=trust, trust_env=False, timeout=30
    ) as client:
        while True:
            headers = {"Cookie": COOKIE, **({"Last-Event-ID": last} if last else {})}
            opened = False
            try:
                with connect_sse(client, "GET", url, headers=headers) as source:
                    source.response.raise_for_status()
                    opened = True
                    say(at, "open")
                    for event in source.iter_sse():
                        last = event.id
                        retry_s = event.retry / 1000 if event.retry is not None else retry_s
                        say(at, "event", id=event.id, type=event.event, data=event.data)
                say(at, "closed")
            except (httpx.HTTPError, SSEError) as error:
                say(at, "closed" if opened else "failed", why=repr(error))
            time.sleep(retry_s)


each_in_a_thread(follow)
