"""The two apps with which prove.py tries a uWSGI: a front, and a backend that it offloads to."""

import contextlib
import importlib
import os
from collections.abc import Callable, Iterable
from typing import Any

uwsgi = importlib.import_module("uwsgi")  # exists only inside uWSGI

Environ = dict[str, Any]
StartResponse = Callable[[str, list[tuple[str, str]]], object]


def front(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    """Offloads with uwsgi.route() on /route; elsewhere its body is what routing found."""
    if environ["PATH_INFO"] == "/route":
        uwsgi.route("uwsgi", f"{os.environ['PROOF_BACKEND']},0,0")
        return []
    return respond(start_response, environ.get("TICKET", ""))


def backend(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    """On gevent: one message comes back on /handshake (needs TLS's SHA-1); elsewhere its body names its greenlet."""
    if environ["PATH_INFO"] == "/handshake":
        uwsgi.websocket_handshake()
        with contextlib.suppress(OSError):  # the client has left
            uwsgi.websocket_send_binary(uwsgi.websocket_recv())
        return []
    gevent = importlib.import_module("gevent")
    return respond(start_response, f"backend in a {type(gevent.getcurrent()).__name__}")


def respond(start_response: StartResponse, body: str) -> Iterable[bytes]:
    start_response("200 OK", [("Content-Type", "text/plain"), ("X-Worker-Pid", str(os.getpid()))])
    return [body.encode()]
