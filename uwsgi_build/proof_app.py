"""The two apps with which prove.py tries a uWSGI: a clerk at the counter, and a belt behind it that takes over."""

import contextlib
import importlib
import os
from collections.abc import Callable, Iterable
from typing import Any

uwsgi = importlib.import_module("uwsgi")  # exists only inside uWSGI

Environ = dict[str, Any]
StartResponse = Callable[[str, list[tuple[str, str]]], object]


def clerk(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    """The front: gives its belongings away with uwsgi.route() on /route, says what routing found elsewhere."""
    if environ["PATH_INFO"] == "/route":
        uwsgi.route("uwsgi", f"{os.environ['PROOF_BELT']},0,0")
        return []
    return say(start_response, environ.get("TICKET", ""))


def belt(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    """The backend, on gevent: shakes hands on /handshake (needs TLS's SHA-1), names its greenlet elsewhere."""
    if environ["PATH_INFO"] == "/handshake":
        uwsgi.websocket_handshake()
        with contextlib.suppress(OSError):  # they leave
            uwsgi.websocket_recv()
        return []
    gevent = importlib.import_module("gevent")
    return say(start_response, f"belt in a {type(gevent.getcurrent()).__name__}")


def say(start_response: StartResponse, words: str) -> Iterable[bytes]:
    start_response("200 OK", [("Content-Type", "text/plain"), ("X-Worker-Pid", str(os.getpid()))])
    return [words.encode()]
