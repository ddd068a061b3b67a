"""The feed on more than one machine: the same files with hosts in place of paths, each host a network namespace.

The middle has Django and Redis, two others a backend each. The clients come in at the middle.
"""

import os
import shutil
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest

from offload_lab.clients.event_source import EventSourcePool
from offload_lab.clients.session import Session
from offload_lab.process.deadlines import Deadline
from offload_lab.process.namespaces import can_make_namespaces, inside, ip
from offload_lab.process.polling import wait_for
from offload_lab.process.server_process import free_port
from offload_lab.stages.stage import short_private_folder
from offload_lab.testing import require, require_program
from offload_lab.uwsgi import binary
from offload_lab.uwsgi.server import Uwsgi

from .conftest import at_once

HERE = Path(__file__).parents[1]
TIMEOUT_S = 40
COUNT = 50
CHANGES = {
    "store": {'.py" "%(run)"': '.py" "%(run)" --port 6379 --bind 10.77.1.1 10.77.2.1 --requirepass key'},
    "stream_a": {"%(run)/stream_a.sock": "10.77.1.2:3031", "unix://%(run)/redis.sock": "redis://:key@10.77.1.1:6379"},
    "stream_b": {"%(run)/stream_b.sock": "10.77.2.2:3031", "unix://%(run)/redis.sock": "redis://:key@10.77.2.1:6379"},
    "stream": {
        "%(run)/stream_a.sock": "10.77.1.2:3031",
        "%(run)/stream_b.sock": "10.77.2.2:3031",
        "unix://%(run)/redis.sock": "redis://:key@10.77.1.1:6379",
    },
}
CHANGES["store"]["unix://%(run)/redis.sock"] = CHANGES["stream"]["unix://%(run)/redis.sock"]
HOSTS = {"store": "middle", "stream_a": "a", "stream_b": "b", "stream": "middle"}


@pytest.fixture
def hosts():
    """Three namespaces, cabled a - middle - b: what they are called. Nothing of it shows outside them."""
    require_program("ip")
    require(can_make_namespaces(), "the right to make network namespaces", "run as root")
    names = {host: f"lab-{os.getpid()}-{host}" for host in ("middle", "a", "b")}
    with ExitStack() as exits:
        for name in names.values():
            assert ip("netns", "add", name).returncode == 0
            exits.callback(ip, "netns", "del", name)
            ip("-n", name, "link", "set", "lo", "up")
        for number, host in enumerate("ab", 1):
            middle, other = names["middle"], names[host]
            ip("link", "add", f"to-{host}", "netns", middle, "type", "veth", "peer", "name", "eth0", "netns", other)
            for name, cable, end in ((middle, f"to-{host}", 1), (other, "eth0", 2)):
                ip("-n", name, "address", "add", f"10.77.{number}.{end}/24", "dev", cable)
                assert ip("-n", name, "link", "set", cable, "up").returncode == 0
        yield names


def test_no_client_misses_an_event_while_a_host_is_cut_off(hosts, feed, tmp_path):
    with inside(hosts["middle"]) as middle:
        middle.submit(cut_off_a_host, hosts, feed, tmp_path).result()


def cut_off_a_host(hosts, feed, folder):
    with ExitStack() as exits:
        run, port = short_private_folder(), free_port()
        exits.callback(shutil.rmtree, run, ignore_errors=True)
        started = []
        exits.callback(at_once, lambda process: process.stop(), started)
        for name in HOSTS:
            process = start(name, hosts[HOSTS[name]], run, port if name == "stream" else None, folder)
            started.append(process)
            process.start()
            process.wait_ready(Deadline(TIMEOUT_S))
        ada = Session(port)
        ada.log_in()
        redis = feed.connect("redis://:key@10.77.1.1:6379")
        exits.callback(redis.close)
        clients = exits.enter_context(EventSourcePool(port, COUNT, cookie=ada.cookie))
        clients.wait_until_all(lambda client: len(client.events) > 2, TIMEOUT_S, "a hello and two trains")

        ip("-n", hosts["middle"], "link", "set", "to-a", "down")
        before = redis.xlen(feed.FEED)
        wait_for(lambda: redis.xlen(feed.FEED) > before + 15, TIMEOUT_S, "15 trains")
        ahead = {client.last_event_id for client in clients.all}
        assert len(ahead) > 1, "those at the host that was cut off are behind"
        ip("-n", hosts["middle"], "link", "set", "to-a", "up")

        last = feed.position(feed.publish(redis, "notice", text="all clear"))
        clients.wait_until_all(lambda client: feed.position(client.last_event_id) >= last, TIMEOUT_S, "everything")
        had = [list(client.events) for client in clients.all]
        written = [entry_id for entry_id, _ in redis.xrange(feed.FEED)]
        for hello, *events in had:
            seen = [event.last_event_id for event in events if event.type != "hello"]
            first = written.index(hello.last_event_id) + 1
            assert seen == written[first : first + len(seen)]


def start(name, host, run, port, folder):
    """The INI called `name` on a host, with that host's addresses in it."""
    text = (HERE / f"{name}.ini").read_text()
    for old, new in CHANGES[name].items():
        assert old in text
        text = text.replace(old, new)
    ini = folder / f"{name}.ini"
    ini.write_text(text.replace("%d", f"{HERE}/"))
    found = binary.find()
    there = replace(found, command=("ip", "netns", "exec", host, *found.command))
    placeholders = {"tick_s": "0.1", "retry_ms": "300", "history": "10000"}
    return Uwsgi(ini, run, port=port, engine=there, placeholders=placeholders)
