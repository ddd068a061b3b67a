"""The page over HTTP: on loopback only, and only for who knows the token in its address."""

import hmac
import json
import secrets
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from offload_lab.errors import LabError, PortInUseError
from offload_lab.process.background import Background
from offload_lab.process.deadlines import LOOPBACK
from offload_lab.process.server_process import port_in_use

from .recording import SCRIPTS, LiveRecording
from .view import View

HERE = Path(__file__).parent
ASSETS = {
    "": ("page.html", "text/html"),
    "live.css": ("live.css", "text/css"),
    **{name: (name, "text/javascript") for name in SCRIPTS},
}
HEADERS = {
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
OWN_ONLY = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; connect-src 'self'"
IN_ONE_PAGE = "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'"
LONGEST_ORDER = 1000  # bytes
HOSTS = (LOOPBACK, "localhost")


class Server(ThreadingHTTPServer):
    """`show` is a view, or a recording to play.

    Raises: PortInUseError for a `port` that is taken.
    """

    daemon_threads = True

    def __init__(self, show: View | LiveRecording, port: int = 0) -> None:
        if port and port_in_use(port):
            raise PortInUseError(port)
        super().__init__((LOOPBACK, port), Handler)
        self.show = show
        self.token = secrets.token_urlsafe(16)
        self._thread = Background("the live page's server", self.serve_forever, self.shutdown)

    @property
    def url(self) -> str:
        return f"http://{LOOPBACK}:{self.server_port}/{self.token}/"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A page that was closed is no error."""

    def __enter__(self) -> Self:
        self._thread.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._thread.__exit__(kind, value, trace)
        self.server_close()


class Handler(BaseHTTPRequestHandler):
    server: Server
    protocol_version = "HTTP/1.1"
    timeout = 30

    def log_message(self, *_: object) -> None:
        """The terminal is for what a person must know."""

    def do_GET(self) -> None:
        name = self._name()
        show = self.server.show
        if name is None:
            self._answer(404, "text/plain", b"not found: use the whole address that ./lab live printed\n")
        elif isinstance(show, LiveRecording):
            self._answer(
                *((200, "text/html", show.page().encode(), IN_ONE_PAGE) if name == "" else (404, "text/plain", b""))
            )
        elif name in ASSETS:
            file, kind = ASSETS[name]
            self._answer(200, kind, (HERE / file).read_bytes())
        elif name == "events":
            self._stream(show)
        elif name == "recording":
            data = LiveRecording(show.about(), list(show.frames)).to_json()
            self._answer(200, "application/json", json.dumps(data, separators=(",", ":")).encode())
        else:
            self._answer(404, "text/plain", b"not found\n")

    def do_POST(self) -> None:
        """An order: ``{"action": NAME}``. JSON, which no form of another site can send without asking first."""
        self.close_connection = True  # what was not read of a wrong order must not be taken for the next request
        show = self.server.show
        size = self.headers.get("Content-Length", "")
        is_json = self.headers.get_content_type() == "application/json"
        if self._name() != "act" or not isinstance(show, View):
            self._answer(404, "text/plain", b"not found\n")
        elif not is_json or not size.isdecimal() or int(size) > LONGEST_ORDER:
            self._answer(400, "text/plain", b'an order is JSON: {"action": NAME}\n')
        else:
            try:
                number = show.act(str(json.loads(self.rfile.read(int(size)))["action"]))
            except (ValueError, KeyError, TypeError, LabError) as error:
                self._answer(400, "text/plain", f"no such order: {error}\n".encode())
            else:
                self._answer(200, "application/json", json.dumps({"number": number}).encode())

    def _name(self) -> str | None:
        """What stands behind the token; None without it, or for another host's name (DNS rebinding)."""
        host = self.headers.get("Host", "").rpartition(":")[0]
        token, slash, name = self.path.lstrip("/").partition("/")
        known = hmac.compare_digest(token.encode("latin-1", "replace"), self.server.token.encode())
        return name if known and slash and host in HOSTS else None

    def _answer(self, status: int, kind: str, body: bytes, policy: str = OWN_ONLY) -> None:
        self.send_response(status)
        for name, value in HEADERS.items():
            self.send_header(name, value)
        self.send_header("Content-Security-Policy", policy)
        self.send_header("Content-Type", f"{kind}; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _stream(self, view: View) -> None:
        self.close_connection = True
        self.send_response(200)
        for name, value in HEADERS.items():
            self.send_header(name, value)
        self.send_header("Content-Type", "text/event-stream")
        self.end_headers()
        try:
            self._event("about", view.about())
            for frames in view.follow():
                began = time.thread_time()
                self._event("frames", frames) if frames else self.wfile.write(b": still here\n\n")
                view.spend(time.thread_time() - began)
        except OSError:
            pass  # the page was closed

    def _event(self, kind: str, data: object) -> None:
        self.wfile.write(f"event: {kind}\ndata: {json.dumps(data, separators=(',', ':'))}\n\n".encode())
