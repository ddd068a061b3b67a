"""hosts.md with these files: two fronts, two hosts with backends, and one Redis with TLS and a password, each host a
network namespace. `edge` joins them with a bridge; nginx and the clients are there. SQLite: one file for all.
"""

import json
import os
import shutil
import subprocess
from contextlib import ExitStack
from dataclasses import replace

import pytest
import redis

from offload_lab.clients.event_source import EventSourcePool
from offload_lab.clients.session import Session
from offload_lab.clients.websocket import WebSocketClient
from offload_lab.process.deadlines import Deadline
from offload_lab.process.namespaces import can_make_namespaces, inside, ip
from offload_lab.process.polling import wait_for
from offload_lab.process.process import Process
from offload_lab.process.server_process import free_port
from offload_lab.stages.loopback import Copies
from offload_lab.stages.nginx import CERTIFICATE, KEY, Nginx, make_certificate
from offload_lab.stages.stage import short_private_folder
from offload_lab.testing import require, require_program
from offload_lab.uwsgi import binary
from offload_lab.uwsgi.server import Uwsgi

from ..lesson.notebook import WITHOUT_TLS, Notifier, numbers_in
from .conftest import STEP, TIMEOUT_S, require_nginx

pytestmark = pytest.mark.full

CLIENTS = 12
HOSTS = {  # address, and what runs there
    "front-1": ("10.0.0.1", ["front.ini"]),
    "front-2": ("10.0.0.2", ["front.ini"]),
    "backend-1": ("10.0.0.3", ["backend.ini", "ws.ini"]),
    "backend-2": ("10.0.0.4", ["backend.ini", "ws.ini"]),
    "redis": ("10.0.0.5", []),
}
REDIS_PORT = 6380
PASSWORD = "correct-horse"  # noqa: S105 (its Redis lives as long as the test)
CHANGES = {  # the lines of hosts.md, for all files; ADDRESS is the host's own, RUN a folder that all hosts see
    "socket = /run/shop/front.sock": "socket = ADDRESS:3031\ntcp-nodelay = true",
    "chown-socket = shop:www-data": "",
    "response-route-if = equal:${OFFLOAD_TO};feed uwsgi:/run/shop/backend.sock,0,0": """\
response-route-if = equal:${OFFLOAD_TO};feed-1 uwsgi:10.0.0.3:3031,0,0
response-route-if = equal:${OFFLOAD_TO};feed-2 uwsgi:10.0.0.4:3031,0,0""",
    "response-route-if = equal:${OFFLOAD_TO};chat uwsgi:/run/shop/ws.sock,0,0": """\
response-route-if = equal:${OFFLOAD_TO};chat-1 uwsgi:10.0.0.3:3032,0,0
response-route-if = equal:${OFFLOAD_TO};chat-2 uwsgi:10.0.0.4:3032,0,0""",
    "socket = /run/shop/backend.sock": "socket = ADDRESS:3031",
    "socket = /run/shop/ws.sock": "socket = ADDRESS:3032",
    "split_clients": "upstream fronts { server 10.0.0.1:3031; server 10.0.0.2:3031; }\nsplit_clients",
    "uwsgi_pass unix:/run/shop/front.sock;": "uwsgi_pass fronts;\nuwsgi_connect_timeout 2s;",
    "feed=/run/shop/backend.sock chat=/run/shop/ws.sock": (
        "feed-1=10.0.0.3:3031 feed-2=10.0.0.4:3031 chat-1=10.0.0.3:3032 chat-2=10.0.0.4:3032"
    ),
    "redis://127.0.0.1:6379/0": f"rediss://:{PASSWORD}@10.0.0.5:{REDIS_PORT}/0?ssl_ca_certs=RUN/{CERTIFICATE}",
    "change-me": "the same on both fronts",
    "/var/lib/shop": "RUN",
    # for this test: nginx without TLS, which others show, and seconds, not a minute, until a silent stream is cut;
    # more of them for Django, which answers a login late where all cores are busy
    **dict(WITHOUT_TLS),
    "uwsgi_read_timeout 60s;  #": "uwsgi_read_timeout 20s;  #",
    "heartbeat, 15 s\n            uwsgi_read_timeout 60s": "heartbeat, 15 s\n            uwsgi_read_timeout 3s",
}
SOON = {"FEED_HEARTBEAT_S": "0.5", "FEED_RETRY_MS": "300", "CHAT_PING_S": "50"}  # no ping among the messages


@pytest.fixture(scope="module")
def namespaces():
    """The network namespace of each host, by its name."""
    require_program("ip")
    require(can_make_namespaces(), "the right to make network namespaces", "run as root")
    names = {host: f"lab-{os.getpid()}-{host}" for host in ("edge", *HOSTS)}
    edge = names["edge"]
    with ExitStack() as exits:
        for name in names.values():
            assert ip("netns", "add", name).returncode == 0
            exits.callback(ip, "netns", "del", name)
            ip("-n", name, "link", "set", "lo", "up")
        assert ip("-n", edge, "link", "add", "lan", "type", "bridge").returncode == 0
        ip("-n", edge, "address", "add", "10.0.0.254/24", "dev", "lan")
        ip("-n", edge, "link", "set", "lan", "up")
        for host, (address, _) in HOSTS.items():
            ip("link", "add", host, "netns", edge, "type", "veth", "peer", "name", "eth0", "netns", names[host])
            ip("-n", edge, "link", "set", host, "master", "lan", "up")
            ip("-n", names[host], "address", "add", f"{address}/24", "dev", "eth0")
            assert ip("-n", names[host], "link", "set", "eth0", "up").returncode == 0
        yield names


class Deployment:
    """All of it, in the order in which it starts. `processes`: by host and name."""

    def __init__(self, namespaces, exits):
        self.namespaces = namespaces
        self.run = short_private_folder()
        exits.callback(shutil.rmtree, self.run, ignore_errors=True)
        self.processes = {}
        exits.callback(self.stop)
        self.start_redis()
        self.copies("redis").prepare()  # the database
        for host in ("backend-1", "backend-2", "front-1", "front-2"):
            for ini in HOSTS[host][1]:
                self.start_uwsgi(host, ini)
        self.nginx = Nginx(self.copies("edge").copy("nginx.conf"), self.run / "edge", port=free_port(), front_port=0)
        self.start("edge", self.nginx)
        self.nginx.wait_ready(Deadline(TIMEOUT_S))

    def start(self, host, process):
        self.processes[host, process.name] = process
        process.start()

    def stop(self):
        for process in self.processes.values():
            process.ask_to_stop()
        for process in self.processes.values():
            process.stop()

    def copies(self, host):
        """The files as they are on that host."""
        (self.run / host).mkdir(exist_ok=True)
        names = {"ADDRESS": HOSTS.get(host, [""])[0], "RUN": str(self.run)}
        pairs = dict(STEP.loopback.replace)
        for old, new in CHANGES.items():
            for name, value in names.items():
                new = new.replace(name, value)
            pairs[old] = new.replace("{", "{{").replace("}", "}}")
        settings = replace(STEP.loopback, replace=tuple(pairs.items()))
        return Copies(settings, STEP.folder, self.run / host, port=0)

    def on(self, host):
        return "ip", "netns", "exec", self.namespaces[host]

    def start_uwsgi(self, host, ini):
        copies, found = self.copies(host), binary.find()
        engine = replace(found, command=(*self.on(host), *found.command))
        environ = {**copies.environment(), **SOON}
        process = Uwsgi(copies.copy(ini), self.run / host, engine=engine, environ=environ)
        self.start(host, process)
        process.wait_ready(Deadline(TIMEOUT_S))

    def start_redis(self):
        make_certificate(self.run, f"IP:{HOSTS['redis'][0]}")
        files = ["--tls-cert-file", self.run / CERTIFICATE, "--tls-key-file", self.run / KEY, "--dir", self.run]
        arguments = ["--port", "0", "--tls-port", REDIS_PORT, "--tls-auth-clients", "no", "--requirepass", PASSWORD]
        arguments += ["--bind", HOSTS["redis"][0], "--appendonly", "yes", "--appendfsync", "always"]
        arguments += ["--rename-command", "FLUSHALL", ""]
        command = [*self.on("redis"), require_program("redis-server"), *map(str, [*arguments, *files])]
        process = Process("redis", command, self.run / "redis.log")
        self.start("redis", process)
        process.wait_until(self.redis_answers, Deadline(TIMEOUT_S))

    def redis_answers(self):
        try:
            with redis.Redis.from_url(self.copies("redis").environment()["REDIS_URL"]) as client:
                return client.ping()
        except redis.ConnectionError:
            return False

    def connect(self, host, state):
        assert ip("-n", self.namespaces["edge"], "link", "set", host, state).returncode == 0

    def offloaded_to(self, host):
        """What that front's log says of requests that were offloaded: their backends, in order."""
        lines = self.processes[host, "front"].log.read_text().splitlines()
        logged = [json.loads(line)["offloaded"] for line in lines if line.startswith('{"time"')]
        return [name for name in logged if name != "-"]


@pytest.fixture(scope="module")
def on_hosts(namespaces):
    """``on_hosts(act)``: `act` is given the Deployment, and is on the host where its clients are."""
    require_nginx()
    require(redis_has_tls(), "a redis-server with TLS", "apt-get install redis-server")
    with inside(namespaces["edge"]) as edge, ExitStack() as exits:
        deployment = edge.submit(Deployment, namespaces, exits).result()
        yield lambda act: edge.submit(act, deployment).result()
        edge.submit(exits.close).result()


def redis_has_tls():
    """It names the first directive that it does not know."""
    command = [require_program("redis-server"), "--tls-auth-clients", "no", "--no-such-directive", "1"]
    return "no-such-directive" in subprocess.run(command, capture_output=True, text=True, timeout=30).stderr


def test_a_message_reaches_the_clients_of_both_hosts(on_hosts):
    on_hosts(write_to_clients_of_both_hosts)


def write_to_clients_of_both_hosts(deployment):
    ada = Session(deployment.nginx.port)
    ada.log_in()
    headers = {"Cookie": ada.cookie, "Origin": deployment.nginx.url}
    with ExitStack() as exits:
        clients = []

        def used():
            return {name for host in ("front-1", "front-2") for name in deployment.offloaded_to(host)}

        def both_have_one():
            clients.append(exits.enter_context(WebSocketClient(deployment.nginx.port, headers=headers)))
            return used() == {"chat-1", "chat-2"}

        wait_for(both_have_one, TIMEOUT_S, "a client of each backend")
        clients[0].send_text("to all hosts")
        for client in clients:
            while "text" not in (message := json.loads(client.receive().payload)):
                pass
            assert (message["user"], message["text"]) == ("ada", "to all hosts")


def test_no_client_misses_an_event_while_a_backend_and_then_a_front_is_cut_off(on_hosts):
    on_hosts(cut_off_a_backend_and_then_a_front)


def cut_off_a_backend_and_then_a_front(deployment):
    port = deployment.nginx.port
    with Notifier(port) as notifier, EventSourcePool(port, CLIENTS, cookie=notifier.ada.cookie) as pool:

        def wait_for_more(what):
            last = notifier.sent
            pool.wait_until_all(lambda client: max(numbers_in(client.events), default=-1) > last, TIMEOUT_S, what)

        wait_for_more("a notification for each")
        used = [name for host in ("front-1", "front-2") for name in deployment.offloaded_to(host) if "feed" in name]
        backend = f"backend-{used[0][-1]}"  # feed-1 is on backend-1
        for host in (backend, max(("front-1", "front-2"), key=lambda host: len(deployment.offloaded_to(host)))):
            connections = sum(client.connections for client in pool.all)
            deployment.connect(host, "down")
            wait_for_more(f"notifications while {host} is cut off")
            assert sum(client.connections for client in pool.all) > connections
            deployment.connect(host, "up")
        wait_for_more("notifications with all hosts")
        for client in pool.all:
            numbers = list(numbers_in(client.events))
            assert numbers == list(range(numbers[0], numbers[-1] + 1))
