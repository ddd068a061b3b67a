"""curl. It neither parses events nor comes back: the loop around it does, with Last-Event-ID, as its users do."""

import subprocess
import time

from contract import CERTIFICATE, COOKIE, RETRY_S, each_in_a_thread, say

from offload_lab.clients.event_stream import EventStreamParser

CURL = ["curl", "--silent", "--show-error", "--no-buffer", "--include", "--noproxy", "*"]
VERSIONS = {"h1": "--http1.1", "h2": "--http2"}


def follow(at, protocol, url):
    last, retry_s = "", RETRY_S
    while True:
        headers = [f"Cookie: {COOKIE}", "Accept: text/event-stream", *([f"Last-Event-ID: {last}"] if last else [])]
        command = [*CURL, VERSIONS[protocol], "--cacert", CERTIFICATE, *(f"-H{header}" for header in headers), url]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as curl:
            parser = one_stream(at, curl)
            why = curl.stderr.read().decode().strip()
        if parser is None:
            say(at, "failed", why=why)
        else:
            say(at, "closed", why=why)
            last = parser.last_event_id or last
            retry_s = parser.retry_ms / 1000 if parser.retry_ms is not None else retry_s
        time.sleep(retry_s)


def one_stream(at, curl):
    """The parser that saw the whole stream; None where there was no stream."""
    status = curl.stdout.readline()
    for line in curl.stdout:
        if not line.strip():
            break
    if status.split()[1:2] != [b"200"]:
        return None
    say(at, "open")
    parser = EventStreamParser()
    while chunk := curl.stdout.read1():
        for event in parser.feed(chunk):
            say(at, "event", id=event.last_event_id, type=event.type, data=event.data)
    return parser


each_in_a_thread(follow)
