"""Steps 03, 04 and 06 with two proxies before the front, and other people's clients at all three addresses."""

import importlib.util
import os
import re
import shutil
import sys
import threading
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Self
from unittest.mock import patch

import redis

from offload_lab.clients.session import Session
from offload_lab.process.background import Background
from offload_lab.process.deadlines import Deadline
from offload_lab.process.polling import wait_for
from offload_lab.process.server_process import free_port
from offload_lab.stages import manifest
from offload_lab.stages.manifest import steps_folder
from offload_lab.stages.nginx import CERTIFICATE, KEY, Nginx
from offload_lab.stages.site import backend
from offload_lab.stages.stage import Stage
from offload_lab.uwsgi.server import Uwsgi

from .clients import EVENT_SOURCES, WEB_SOCKETS, Client, Driven

TIMEOUT_S = 120  # for each thing that is waited for; how soon it comes is recorded, not judged
WAYS = ("proxy_pass", "uwsgi_pass")
KEPT = re.compile(r"\bproxy_(buffering|read_timeout|intercept_errors)\b")  # uwsgi_pass knows them by its own name
RECENT = 400  # reports in which an announcement is looked for
ANOTHER_SOCKET = Path(__file__).with_name("another_socket.ini")
# spelt out, since nginx's own file of this name is elsewhere on every system
UWSGI_PARAMS = """
        uwsgi_param REQUEST_METHOD $request_method;
        uwsgi_param REQUEST_URI $request_uri;
        uwsgi_param PATH_INFO $document_uri;
        uwsgi_param QUERY_STRING $query_string;
        uwsgi_param CONTENT_TYPE $content_type;
        uwsgi_param CONTENT_LENGTH $content_length;
        uwsgi_param SERVER_PROTOCOL $server_protocol;
        uwsgi_param SERVER_NAME $server_name;
        uwsgi_param SERVER_PORT $server_port;
        uwsgi_param REMOTE_ADDR $remote_addr;
        uwsgi_param HTTPS $https if_not_empty;
"""


@dataclass(frozen=True)
class Plan:
    """What of a step is tried: its variant, its backends with their sockets, and how its clients are driven."""

    step: str
    variant: str
    backends: dict[str, str]
    conf: str = "03_sse_offload/nginx.conf"  # 06's streams need nothing else
    clients: tuple[Client, ...] = EVENT_SOURCES
    path: str = "/subscribe"
    types: str = ""  # of its events, since an EventSource has to name them
    placeholders: dict[str, str] = field(default_factory=dict)
    environ: dict[str, str] = field(default_factory=dict)
    feed: str = "feed"  # its Redis Stream, where it has one
    confs: dict[str, str] = field(default_factory=dict)  # by way, where the step has one for each


CONFS_OF_08 = {
    way: f"08_take_it_home/{conf}" for way, conf in zip(WAYS, ("nginx_proxy.conf", "nginx.conf"), strict=True)
}
PLANS = {
    "03": Plan("03_sse_offload", "header", {"sse": "sse.sock"}, types="ticket", placeholders={"tick_s": "0.1"}),
    "04": Plan(
        "04_websocket",
        "offload",
        {"ws": "board.sock"},
        conf="04_websocket/nginx.conf",
        clients=WEB_SOCKETS,
        path="/ws",
        placeholders={"tick_s": "0.1"},
    ),
    "06": Plan(
        "06_shared_state",
        "stream",
        {"stream_a": "stream_a.sock", "stream_b": "stream_b.sock"},
        types="hello,notice,train,reset,bye",
        # no stream ends by itself: neither at its age, which is 300 s or more, nor because a busy client takes little
        placeholders={
            "tick_s": "0.1",
            "history": "5000",
            "retry_ms": "1000",
            "lifetime_s": "86400",
            "waiting": "5000",
        },
    ),
    "08": Plan(
        "08_take_it_home",
        "deployed",
        {"backend": "backend.sock"},
        confs=CONFS_OF_08,
        types="hello,notice,place,reset,bye",
        environ={"FEED_RETRY_MS": "1000", "FEED_LIFETIME_S": "86400"},
        feed="notifications",
    ),
    "08 ws": Plan(
        "08_take_it_home",
        "deployed",
        {"ws": "ws.sock"},
        confs=CONFS_OF_08,
        clients=WEB_SOCKETS,
        path="/ws",
        feed="chat",
    ),
}


class Connection:
    """One client on one route, as its driver reports it."""

    def __init__(self, driven: Driven, at: int, route: str) -> None:
        self.client, self.route = driven.client.name, route
        self._driven, self._at = driven, at

    @property
    def reports(self) -> list[dict]:
        return self._driven.reports[self._at]

    def events(self, since: int = 0) -> list[dict]:
        return [report for report in self.reports[since:] if report["is"] == "event"]

    def count(self, *kinds: str, since: int = 0) -> int:
        return sum(report["is"] in kinds for report in self.reports[since:])

    def kinds(self, since: int) -> str:
        """What it reported since then, a letter each: o open, e event, c closed, f failed, g given up."""
        return "".join(report["is"][0] for report in self.reports[since:])

    def has_news_since_opened_after(self, mark: int) -> bool:
        """Whether it opened anew after report number `mark`, and has had something on what it opened last."""
        return re.search(r"oe+$", self.kinds(mark)) is not None

    def attempts_in_vain(self, since: int) -> int:
        return len(re.findall("f|oc", self.kinds(since)))

    def hears(self, text: str) -> bool:
        """Whether there was an event with this id, or a message with this text, lately."""
        return any(text == event.get("id") or text in event["data"] for event in self.events(-RECENT))

    @property
    def given_up(self) -> bool:
        return bool(self.reports) and self.reports[-1]["is"] == "given up"


class Trial:
    """The processes of a plan: ``with Trial(PLANS["03"]) as trial:`` yields once every client has had an event."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.stage: Stage
        self.proxies: dict[str, Nginx] = {}
        self.connections: list[Connection] = []
        self.publisher: Publisher | None = None
        self._driven: list[Driven] = []
        self._exits = ExitStack()

    def __enter__(self) -> Self:
        with ExitStack() as exits:
            plan = self.plan
            step = manifest.find(plan.step)
            variant = replace(step.variant(plan.variant), proxy="")  # there are two, below
            options = () if plan.confs else ("--ini", str(ANOTHER_SOCKET))
            step = replace(step, variants=(variant,))
            with patch.dict(os.environ, plan.environ):
                stage = Stage(step, plan.variant, options=options, placeholders=plan.placeholders)
                self.stage = exits.enter_context(stage)
            if stage.copies:
                self.publisher = exits.enter_context(Publisher(stage, plan.feed))
            for way in WAYS:
                self.proxies[way] = exits.enter_context(self._proxy(way))
                self.proxies[way].wait_ready(Deadline(TIMEOUT_S))
            self._connect(exits)
            self._exits = exits.pop_all()
        return self

    def __exit__(self, *why: object) -> None:
        for process in [*self._driven, *self.proxies.values()]:
            process.ask_to_stop()
        self._exits.close()

    def _proxy(self, way: str) -> Nginx:
        """Each in a folder of its own, with the same certificate."""
        run = self.stage.run / way
        run.mkdir()
        text = (steps_folder() / self.plan.confs.get(way, self.plan.conf)).read_text()
        if self.stage.copies:
            text = self.stage.copies.replaced(text).replace(str(self.stage.run), str(run))
            text = text.replace(f"{run}/front", f"{self.stage.run}/front")
        elif way == "uwsgi_pass":
            text = by_uwsgi(text, self.stage.run / "front.sock")
        conf = run / "source.conf"
        conf.write_text(text)
        proxy = Nginx(conf, run, port=free_port(), front_port=self.stage.port)
        if self.proxies:
            for name in (CERTIFICATE, KEY):
                shutil.copy(self.proxies["proxy_pass"].run / name, run)
        return proxy

    def _connect(self, exits: ExitStack) -> None:
        self.ada = Session(self.stage.port)
        self.ada.log_in()
        for client in self.plan.clients:
            if client.missing():
                continue
            routes = {"direct": f"h1={self.stage.url}{self.plan.path}"}
            for way, proxy in self.proxies.items():
                routes |= {f"{way} {spoken}": f"{spoken}={proxy.url}{self.plan.path}" for spoken in client.protocols}
            targets = [url.replace("=http", "=ws") if self.plan.path == "/ws" else url for url in routes.values()]
            trust = self.proxies["proxy_pass"].run / CERTIFICATE
            driven = Driven(client, targets, self.stage.run, self.ada.cookie, trust, self.plan.types)
            self._driven.append(exits.enter_context(driven))
            self.connections += [Connection(driven, at, route) for at, route in enumerate(routes)]
        self.wait_for_all(lambda connection: connection.events(), "a first event")

    def read(self) -> None:
        for driven in self._driven:
            driven.read()

    def wait_for_all(self, has: Callable[[Connection], object], what: str) -> None:
        """Until each connection that has not given up satisfies `has`."""
        late: list[str] = []

        def all_have() -> bool:
            self.read()
            late[:] = [
                f"{connection.client} {connection.route}"
                for connection in self.connections
                if not connection.given_up and not has(connection)
            ]
            return not late

        try:
            wait_for(all_have, TIMEOUT_S, what)
        except TimeoutError as error:
            raise TimeoutError(f"{error}: {', '.join(late)}\n{self.stage.logs()}") from None

    @property
    def backends(self) -> list[Uwsgi]:
        return [self.stage.process(name) for name in self.plan.backends]

    def is_whole(self) -> bool:
        """Whether front and backends answer: a gevent backend has a worker some time before that."""
        sockets = [f"uwsgi:{self.stage.run / name}" for name in self.plan.backends.values()]
        return self.stage.front.is_ready() and all(backend.is_ready(socket) for socket in sockets)

    def redis(self) -> redis.Redis:
        return redis.Redis(unix_socket_path=str(self.stage.run / "redis.sock"), decode_responses=True)


class Publisher:
    """Ten entries a second into a feed of step 08, which has no publisher of its own, with the step's own code."""

    def __init__(self, stage: Stage, name: str) -> None:
        path = stage.step.folder / "shop" / "offload" / "feed.py"
        spec = importlib.util.spec_from_file_location("feed_of_08", path)
        module = importlib.util.module_from_spec(spec)
        sys.modules[spec.name] = module  # dataclasses look there
        spec.loader.exec_module(module)
        self._redis = module.connect(f"unix://{stage.run}/redis.sock")
        self._feed, self._kind = module.Feed(self._redis, name), name
        self._stop = threading.Event()
        self._thread = Background("the publisher", self._publish_until_stopped, self._stop.set)

    def publish(self) -> str:
        channel, type = ("chat", "message") if self._kind == "chat" else ("all", "notice")
        return self._feed.publish(channel, type, {"user": "the publisher", "text": "news"}, patience_s=TIMEOUT_S)

    def _publish_until_stopped(self) -> None:
        while not self._stop.wait(0.1):
            self.publish()

    def __enter__(self) -> Self:
        self._thread.__enter__()
        return self

    def __exit__(self, *why: object) -> None:
        self._thread.__exit__(*why)
        self._redis.close()


def by_uwsgi(text: str, socket: Path) -> str:
    """The same nginx.conf, which asks the front in uWSGI's own protocol."""
    text = text.replace("proxy_pass http://127.0.0.1:9090;", f"uwsgi_pass unix:{socket};")
    text = KEPT.sub(r"uwsgi_\1", text)
    text = re.sub(r"(?m)^ *proxy_(http_version|set_header).*\n", "", text)
    return re.sub(r"(?m)(^ *ssl_certificate_key .*\n)", rf"\1{UWSGI_PARAMS}", text)
