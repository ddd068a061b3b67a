"""A request as a backend gets it from an offload thread: uWSGI's own protocol, at a private socket."""

from pathlib import Path

from offload_lab.uwsgi.protocol import TIMEOUT_S, connect, packet

from .sse import SseClient


class BackendClient(SseClient):
    """Subscribes at the backend's socket `path`, as the front would; `variables` are the request's."""

    def __init__(self, path: Path, *, timeout_s: float = TIMEOUT_S, **variables: str) -> None:
        request = {"REQUEST_METHOD": "GET", "PATH_INFO": "/subscribe", **variables}
        self._begin(connect(path, timeout_s), packet(request))
