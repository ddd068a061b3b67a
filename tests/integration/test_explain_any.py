"""`./lab explain --stats` beside uWSGIs that nothing of the harness started: four workers, a gevent backend, a file."""

import json
import os
import re
import subprocess
import sys
from contextlib import ExitStack
from types import SimpleNamespace

import psutil
import pytest

from offload_lab.clients import SlowReader
from offload_lab.inspect import as_json, describe, metrics
from offload_lab.inspect.metrics import HELP, PREFIX
from offload_lab.inspect.observe import take_snapshot_at
from offload_lab.paths import ROOT
from offload_lab.process.polling import wait_for
from offload_lab.process.server_process import free_port
from offload_lab.system import is_linux
from offload_lab.timeouts import scaled
from offload_lab.uwsgi.stats import StatsError, read_stats

from .explained_servers import STREAMS, WORKERS, answering, client, two_servers

pytestmark = pytest.mark.skipif(not is_linux(), reason="only Linux tells what a thread waits for: proc(5)")


@pytest.fixture(scope="module")
def servers(tmp_path_factory):
    with two_servers(tmp_path_factory.mktemp("any")) as both:
        yield both


@pytest.fixture(scope="module")
def held(servers):
    """Three streams and a download that are offloaded; a request that waits in its app, one that its worker sends."""
    with ExitStack() as exits:
        streams = [exits.enter_context(client(servers.port, "/stream")) for _ in range(STREAMS)]
        for _, connection in streams:
            received = b""
            while b"data: first" not in received:
                chunk = connection.recv(4096)
                assert chunk, received
                received += chunk
        download, connection = exits.enter_context(client(servers.port, "/files/large.bin"))
        assert connection.recv(8) == b"HTTP/1.0"  # and takes no more of it
        waiting, _ = exits.enter_context(client(servers.port, "/wait"))
        exits.callback(release, servers.fifo)
        sending = exits.enter_context(SlowReader(servers.port, "/send", rate_mib_s=0.5))
        sender = int(re.search(rb"X-Worker: (\d+)", sending.head)[1])
        yield SimpleNamespace(
            offloaded=[*(name for name, _ in streams), download],
            waiting=waiting, sending=f"127.0.0.1:{sending.port}", sender=sender,
        )  # fmt: skip


def release(fifo):
    """Let the app that waits for it answer."""
    fd = os.open(fifo, os.O_RDWR | os.O_NONBLOCK)
    os.write(fd, b"go")
    os.close(fd)


def settled(address, held):
    """Facts once each client's thread was seen: a look from outside catches moments."""
    found = []

    def all_are_seen():
        found[:] = [take_snapshot_at(address)]
        by_client = {connection.client: connection for connection in found[0].connections}
        known = [by_client.get(name) for name in (*held.offloaded, held.sending)]
        aged = [request.since_s >= 1 for worker in found[0].front.workers for request in worker.requests]
        return all(connection and connection.tid for connection in known) and len(aged) == 2 and all(aged)

    wait_for(all_are_seen, 20, "a thread for each connection")
    return found[0]


def test_each_of_four_workers_and_connections_is_told_rightly(servers, held):
    facts = settled(servers.front, held)
    pids = {worker.pid for worker in facts.front.workers}
    children = {child.pid for child in psutil.Process(servers.master.pid).children()}
    text = "\n".join(describe(facts))
    assert pids == children
    assert f"listens on http://127.0.0.1:{servers.port} and {servers.folder}/front.sock." in text
    by_client = {connection.client: connection for connection in facts.connections}
    waiter = by_client[held.waiting].pid
    assert re.search(rf"worker {held.sender} has been sending to the client for \d+ s \(GET /send, client", text)
    assert re.search(rf"worker {waiter} has been running the app's own code for \d+ s \(GET /wait, client", text)
    assert waiter != held.sender
    for idle in pids - {waiter, held.sender}:
        assert f"worker {idle} is idle: the next request is answered at once." in text
    offloaded = set()
    for line in text.splitlines():
        if "held by offload thread" in line:
            offloaded |= set(re.findall(r"127\.0\.0\.1:\d+", line))
    assert offloaded == set(held.offloaded)
    for name in (held.waiting, held.sending):
        assert re.search(f"client {name}: held by worker {by_client[name].pid} itself", text)


def test_the_backend_is_told_over_stats_http(servers, held):
    text = "\n".join(describe(take_snapshot_at(servers.backend)))
    assert f"listens on {servers.folder}/backend.sock." in text
    assert f"has {STREAMS} requests under way in one thread, the longest GET /stream for" in text
    assert f"{STREAMS} clients (of {servers.folder}/backend.sock): held by a greenlet of worker" in text


def test_json_says_the_same_and_each_field_and_metric_is_documented(servers, held):
    facts = settled(servers.front, held)
    document = as_json(facts)
    assert {connection["client"] for connection in document["connections"] if connection["offloaded"]} == set(
        held.offloaded
    )
    assert {connection["client"] for connection in document["connections"] if connection["offloaded"] is False} == {
        held.waiting,
        held.sending,
    }
    [server] = document["servers"]
    assert [len(worker["offload_threads"]) for worker in server["workers"]] == [2] * WORKERS
    assert server["routes_offload"] is True
    documented = set(re.findall(r"^\| `([\w.\[\]]+)` \|", (ROOT / "docs/explain.md").read_text(), re.MULTILINE))
    names = set(fields(document))
    lists = {name for name in names if any(other.startswith(f"{name}[]") for other in names)}  # empty ones
    assert documented == names - lists | {f"{PREFIX}{name}" for name in HELP}


def fields(value, prefix=""):
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from fields(inner, f"{prefix}.{name}".lstrip("."))
    elif isinstance(value, list) and any(isinstance(item, dict) for item in value):
        for item in value:
            yield from fields(item, f"{prefix}[]")
    elif prefix.endswith((".waits", ".waits.to", ".waits.other_end")):
        yield prefix.partition(".waits")[0] + ".waits"
    else:
        yield prefix


SAMPLE = re.compile(r'^[a-z_]+\{[a-z_]+="(?:[^"\\\n]|\\[\\"n])*"(?:,[a-z_]+="(?:[^"\\\n]|\\[\\"n])*")*\} \d+$')


def test_metrics_are_valid_and_count_what_is_held(servers, held):
    facts = settled(servers.front, held)
    lines = metrics({servers.front: facts, 'a "gone"\\one\n': None}).splitlines()
    kinds = {}
    for line in lines:
        if line.startswith("# TYPE "):
            _, _, name, kind = line.split()
            assert name not in kinds
            kinds[name] = kind
        elif not line.startswith("# HELP "):
            assert SAMPLE.match(line), line
            assert line.partition("{")[0] in kinds
    assert 'uwsgi_offload_up{server="a \\"gone\\"\\\\one\\n"} 0' in lines
    streams = [line for line in lines if line.startswith("uwsgi_offload_streams{")]
    offloaded = sum(int(line.split()[-1]) for line in streams if 'thread="offload ' in line)
    assert offloaded == len(held.offloaded)
    assert sum(int(line.split()[-1]) for line in streams if 'thread="worker"' in line) == 2
    total = sum(int(line.split()[-1]) for line in lines if line.startswith("uwsgi_offload_requests_total{"))
    assert total == len(held.offloaded)
    assert f'uwsgi_offload_workers_carrying{{server="{servers.front}"}} 2' in lines
    assert f'uwsgi_offload_listen_queue{{server="{servers.front}",socket="127.0.0.1:{servers.port}"}} 0' in lines


# --- what may not be read


# imports first: another user need not be able to read this repository
AS_NOBODY = """
import os, pwd, sys
from offload_lab.inspect import describe, take_snapshot_at, metrics
os.setgroups([])
os.setgid(pwd.getpwnam("nobody").pw_gid)
os.setuid(pwd.getpwnam("nobody").pw_uid)
facts = take_snapshot_at(sys.argv[1])
print(*describe(facts), metrics({"it": facts}), sep="\\n")
"""


def test_what_another_user_may_not_read_is_said_to_be_unknown(servers, held):
    if os.getuid() != 0:
        pytest.skip("only root can become another user")
    settled(servers.front, held)
    with answering(
        f"\0{servers.folder}", json.dumps(read_stats(servers.front)).encode()
    ):  # who has no way into the folder
        answer = subprocess.run(
            [sys.executable, "-c", AS_NOBODY, f"@{servers.folder}"],
            cwd=ROOT, capture_output=True, text=True, timeout=scaled(60),
        )  # fmt: skip
    assert answer.returncode == 0, answer.stderr
    assert "is not known: its processes may not be read: run this as their user, or as root." in answer.stdout
    assert "its configuration is not known" in answer.stdout
    assert re.search(rf"worker {held.sender} has been busy for \d+ s \(GET /send\)\.", answer.stdout)
    for untold in ("offload thread 1", "own code", "because", "listen queue (", "uwsgi_offload_streams"):
        assert untold not in answer.stdout
    assert "accepted; the process that holds it is not known" in answer.stdout
    assert 'uwsgi_offload_requests_total{server="it",worker="1"}' in answer.stdout


def test_processes_of_another_machine_are_not_taken_for_those_here(tmp_path, servers):
    stats = read_stats(servers.front)
    stats["pid"] = os.getpid()  # a master here, of which the workers are no children
    with answering(tmp_path / "s", json.dumps(stats).encode()) as address:
        text = "\n".join(describe(take_snapshot_at(address)))
    assert "is not known: its processes are not here: another machine, or a container." in text
    assert "held by" not in text


@pytest.mark.full
def test_an_address_that_does_not_answer_is_named_with_the_next_step(tmp_path, servers):
    port = free_port()
    for address, message in {
        str(tmp_path / "none.sock"): "no such socket; check that this uWSGI runs",
        f"127.0.0.1:{port}": "nothing listens there; check that this uWSGI runs",
        "127.0.0.1:http": "'http' is not a port; give a socket's path, or HOST:PORT",
        str(tmp_path): "nothing listens there",
        servers.backend.removeprefix("http://"): f"stats-http`: then write {servers.backend}",
    }.items():
        with pytest.raises(StatsError) as caught:
            read_stats(address, within_s=scaled(0.5))
        assert message in str(caught.value)


# --- the command


def lab(*arguments, **more):
    command = [sys.executable, "-m", "offload_lab", "explain", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=scaled(60), **more)


def test_the_command_takes_several_addresses_and_prints_json(servers):
    answer = lab("--stats", servers.front, "--stats", servers.backend, "--json")
    assert answer.returncode == 0, answer.stderr
    assert [len(document["servers"][0]["workers"]) for document in json.loads(answer.stdout)] == [WORKERS, 1]


@pytest.mark.full
def test_the_command_prints_metrics_although_one_server_is_down(servers, tmp_path):
    gone = str(tmp_path / "gone.sock")
    answer = lab("--metrics", "--stats", servers.front, "--stats", gone)
    assert answer.returncode == 0, answer.stderr
    assert f'uwsgi_offload_up{{server="{servers.front}"}} 1' in answer.stdout
    assert f'uwsgi_offload_up{{server="{gone}"}} 0' in answer.stdout
    assert "no such socket" in " ".join(answer.stderr.split())
    assert lab("--metrics", "--stats", gone).returncode == 1
