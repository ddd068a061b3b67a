"""sseclient-py on requests, as its README has it. It does not come back by itself: the loop does, with Last-Event-ID.

requests hands on what comes without chunks 128 bytes at a time: an event may wait for the next one's first bytes.
"""

import time

import requests
from contract import CERTIFICATE, COOKIE, RETRY_S, each_in_a_thread, say
from sseclient import SSEClient


def follow(at, protocol, url):
    last, retry_s = "", RETRY_S
    session = requests.Session()
    session.trust_env = False
    while True:
        headers = {"Cookie": COOKIE, "Accept": "text/event-stream", **({"Last-Event-ID": last} if last else {})}
        opened = False
        try:
            with session.get(url, headers=headers, stream=True, verify=CERTIFICATE, timeout=30) as response:
                response.raise_for_status()
                opened = True
                say(at, "open")
                for event in SSEClient(response).events():
                    last = event.id or last
                    retry_s = int(event.retry) / 1000 if event.retry else retry_s  # a str
                    say(at, "event", id=event.id, type=event.event, data=event.data)
            say(at, "closed")
        except requests.RequestException as error:
            say(at, "closed" if opened else "failed", why=repr(error))
        time.sleep(retry_s)


each_in_a_thread(follow)
