"""`./lab explain --stats` beside uWSGIs that nothing of the harness started: four workers, a gevent backend, a file."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
from contextlib import ExitStack, contextmanager
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
from offload_lab.uwsgi import binary
from offload_lab.uwsgi.stats import StatsError, read_stats

pytestmark = pytest.mark.skipif(not is_linux(), reason="only Linux tells what a thread waits for: proc(5)")
WORKERS, STREAMS = 4, 3
FRONT = """
[uwsgi]
http-socket = 127.0.0.1:{port}
socket = {folder}/front.sock
processes = 4
master = true
offload-threads = {threads}
# the client of /send reads slowly, and on a busy machine at times not at all
socket-timeout = 3600
stats = {folder}/front-stats.sock
static-map = /files={folder}/files
route = ^/stream uwsgi:{folder}/backend.sock,0,0
wsgi-file = {folder}/front.py
lazy-apps = true
enable-threads = true
die-on-term = true
"""
BACKEND = """
[uwsgi]
socket = {folder}/backend.sock
gevent = 50
processes = 1
master = true
stats = 127.0.0.1:{stats_port}
stats-http = true
wsgi-file = {folder}/backend.py
die-on-term = true
"""
# a thread of the app's own, started before the offload threads; /wait blocks in the app, /send in the worker's writes
FRONT_APP = """
import os, threading
threading.Thread(target=threading.Event().wait, daemon=True).start()

def application(environ, start_response):
    start_response("200 OK", [("X-Worker", str(os.getpid()))])
    if environ["PATH_INFO"] == "/wait":
        with open({fifo!r}) as fifo:
            return [fifo.read().encode()]
    return (bytes(65536) for _ in range(10_000)) if environ["PATH_INFO"] == "/send" else [b"pong"]
"""
BACKEND_APP = """
import gevent

def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/event-stream")])
    yield b"data: first\\n\\n"
    while True:
        gevent.sleep(60)
        yield b":\\n\\n"
"""


@contextmanager
def uwsgi(ini, log):
    """Started as anybody would, by the program and an INI."""
    env = {name: value for name, value in os.environ.items() if not name.startswith("UWSGI_")}
    with log.open("wb") as output:
        process = subprocess.Popen(
            [binary.wheel(), "--ini", ini], stdout=output, stderr=subprocess.STDOUT, env=env, start_new_session=True
        )
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(scaled(10))
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


@contextmanager
def two_servers(folder, threads="2"):
    (folder / "files").mkdir()
    (folder / "files/large.bin").write_bytes(bytes(32 * 2**20))
    fifo = folder / "go"
    os.mkfifo(fifo)
    names = {"folder": folder, "port": free_port(), "stats_port": free_port(), "threads": threads}
    (folder / "front.ini").write_text(FRONT.format(**names))
    (folder / "backend.ini").write_text(BACKEND.format(**names))
    (folder / "front.py").write_text(FRONT_APP.format(fifo=str(fifo)))
    (folder / "backend.py").write_text(BACKEND_APP)
    stats = (str(folder / "front-stats.sock"), f"http://127.0.0.1:{names['stats_port']}")
    with ExitStack() as exits:
        masters = [
            exits.enter_context(uwsgi(folder / f"{name}.ini", folder / f"{name}.log")) for name in ("backend", "front")
        ]
        wait_for(lambda: all(ready(one) for one in stats), 30, "both stats servers")
        yield SimpleNamespace(
            folder=folder, port=names["port"], front=stats[0], backend=stats[1], fifo=fifo, master=masters[1]
        )


def ready(address):
    try:
        rows = read_stats(address)["workers"]
    except StatsError:
        return False
    return all(row["pid"] and row["accepting"] for row in rows)


@contextmanager
def client(port, path):
    """Who asked, and has the beginning of the response where one comes: the address, and a function that reads on."""
    with socket.create_connection(("127.0.0.1", port), timeout=scaled(30)) as connection:
        connection.sendall(f"GET {path} HTTP/1.0\r\n\r\n".encode())
        yield "{}:{}".format(*connection.getsockname()), connection


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

    def told():
        found[:] = [take_snapshot_at(address)]
        by_client = {one.client: one for one in found[0].connections}
        known = [by_client.get(name) for name in (*held.offloaded, held.sending)]
        aged = [request.since_s >= 1 for worker in found[0].front.workers for request in worker.requests]
        return all(one and one.tid for one in known) and len(aged) == 2 and all(aged)

    wait_for(told, 20, "a thread for each connection")
    return found[0]


def test_each_of_four_workers_and_connections_is_told_rightly(servers, held):
    facts = settled(servers.front, held)
    pids = {worker.pid for worker in facts.front.workers}
    children = {child.pid for child in psutil.Process(servers.master.pid).children()}
    text = "\n".join(describe(facts))
    assert pids == children
    assert f"listens on http://127.0.0.1:{servers.port} and {servers.folder}/front.sock." in text
    by_client = {one.client: one for one in facts.connections}
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
    told = as_json(facts)
    assert {one["client"] for one in told["connections"] if one["offloaded"]} == set(held.offloaded)
    assert {one["client"] for one in told["connections"] if one["offloaded"] is False} == {held.waiting, held.sending}
    [server] = told["servers"]
    assert [len(worker["offload_threads"]) for worker in server["workers"]] == [2] * WORKERS
    assert server["routes_offload"] is True
    documented = set(re.findall(r"^\| `([\w.\[\]]+)` \|", (ROOT / "docs/explain.md").read_text(), re.MULTILINE))
    names = set(fields(told))
    lists = {name for name in names if any(other.startswith(f"{name}[]") for other in names)}  # empty ones
    assert documented == names - lists | {f"{PREFIX}{name}" for name in HELP}


def fields(value, prefix=""):
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from fields(inner, f"{prefix}.{name}".lstrip("."))
    elif isinstance(value, list) and any(isinstance(one, dict) for one in value):
        for one in value:
            yield from fields(one, f"{prefix}[]")
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


def test_a_number_that_only_uwsgi_knows_is_not_guessed(tmp_path):
    with two_servers(tmp_path, threads="%k") as both, client(both.port, "/files/large.bin") as (slow, connection):
        assert connection.recv(8) == b"HTTP/1.0"
        found = []

        def told():
            found[:] = ["\n".join(describe(take_snapshot_at(both.front)))]
            return f"client {slow}: held by thread" in found[0]

        wait_for(told, 20, "the thread that holds the download")
        assert "which waits as offload threads do; how many of these it has is not known" in found[0]
        assert "held by offload thread" not in found[0]


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


@contextmanager
def answering(path, text):
    """A server at the UNIX socket `path` that says `text` to everybody."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()

        def serve():
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                with connection:
                    connection.sendall(text)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        try:
            yield str(path)
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()


def test_processes_of_another_machine_are_not_taken_for_those_here(tmp_path, servers):
    told = read_stats(servers.front)
    told["pid"] = os.getpid()  # a master here, of which the workers are no children
    with answering(tmp_path / "s", json.dumps(told).encode()) as address:
        text = "\n".join(describe(take_snapshot_at(address)))
    assert "is not known: its processes are not here: another machine, or a container." in text
    assert "held by" not in text


def test_a_worker_that_ends_while_it_is_looked_at_is_said_to_have_ended(tmp_path):
    """Its stats were read before, and its /proc is after."""
    with two_servers(tmp_path) as both:
        told = read_stats(both.front)
        pid = told["workers"][0]["pid"]
        os.kill(pid, signal.SIGKILL)
        wait_for(lambda: not psutil.pid_exists(pid), 20, "the end of the worker")
        with answering(tmp_path / "s", json.dumps(told).encode()) as address:
            text = "\n".join(describe(take_snapshot_at(address)))
    assert f"worker {pid}: it ended while it was looked at." in text
    assert text.count("is idle: the next request is answered at once.") == WORKERS - 1
    assert "another machine" not in text
    assert "no client is connected." in text


@pytest.mark.full
@pytest.mark.parametrize("scheme", ["", "http://"])
def test_several_stats_servers_at_tcp_addresses_are_told_apart(tmp_path, scheme):
    """Four of one configuration, as an Emperor or a container platform starts them."""
    (tmp_path / "app.py").write_text(BACKEND_APP)
    ports = [free_port() for _ in range(4)]
    with ExitStack() as exits:
        for number, port in enumerate(ports):
            lines = [f"http-socket = {tmp_path}/{number}.sock", "master = true", f"wsgi-file = {tmp_path}/app.py"]
            stats = [f"stats = 127.0.0.1:{port}", *(["stats-http = true"] if scheme else [])]
            (tmp_path / f"{number}.ini").write_text("\n".join(["[uwsgi]", *lines, *stats, ""]))
            exits.enter_context(uwsgi(tmp_path / f"{number}.ini", tmp_path / f"{number}.log"))
        addresses = [f"{scheme}127.0.0.1:{port}" for port in ports]
        wait_for(lambda: all(ready(one) for one in addresses), 30, "all stats servers")
        answer = lab(*(word for one in addresses for word in ("--stats", one)), "--json")
    assert answer.returncode == 0, answer.stderr
    servers = [told["servers"][0] for told in json.loads(answer.stdout)]
    assert [server["address"] for server in servers] == [f"{tmp_path}/{number}.sock" for number in range(4)]
    assert len({server["workers"][0]["pid"] for server in servers}) == 4


@pytest.mark.parametrize(
    ("says", "why"),
    [
        (b"", "it closed without an answer"),
        (b"hello", "it answered 'hello', which is not a stats server's JSON"),
        (b"[1]", "its JSON has no workers and sockets"),
        (b'{"vassals": []}', "they are an Emperor's: name the stats server of a vassal"),
    ],
)
def test_what_is_no_stats_server_is_named(tmp_path, says, why):
    with answering(tmp_path / "s", says) as address, pytest.raises(StatsError) as caught:
        read_stats(address)
    assert why in str(caught.value)
    assert address in str(caught.value)


def test_an_address_that_does_not_answer_is_named_with_the_next_step(tmp_path, servers):
    port = free_port()
    for address, words in {
        str(tmp_path / "none.sock"): "no such socket; check that this uWSGI runs",
        f"127.0.0.1:{port}": "nothing listens there; check that this uWSGI runs",
        "127.0.0.1:http": "'http' is not a port; give a socket's path, or HOST:PORT",
        str(tmp_path): "nothing listens there",
        servers.backend.removeprefix("http://"): f"stats-http`: then write {servers.backend}",
    }.items():
        with pytest.raises(StatsError) as caught:
            read_stats(address, within_s=scaled(0.5))
        assert words in str(caught.value)


# --- the command


def lab(*words, **more):
    command = [sys.executable, "-m", "offload_lab", "explain", *words]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=scaled(60), **more)


def test_the_command_takes_several_addresses_and_prints_json(servers):
    answer = lab("--stats", servers.front, "--stats", servers.backend, "--json")
    assert answer.returncode == 0, answer.stderr
    assert [len(one["servers"][0]["workers"]) for one in json.loads(answer.stdout)] == [WORKERS, 1]


def test_the_command_prints_metrics_although_one_server_is_down(servers, tmp_path):
    gone = str(tmp_path / "gone.sock")
    answer = lab("--metrics", "--stats", servers.front, "--stats", gone)
    assert answer.returncode == 0, answer.stderr
    assert f'uwsgi_offload_up{{server="{servers.front}"}} 1' in answer.stdout
    assert f'uwsgi_offload_up{{server="{gone}"}} 0' in answer.stdout
    assert "no such socket" in " ".join(answer.stderr.split())
    assert lab("--metrics", "--stats", gone).returncode == 1


def test_the_command_refuses_a_step_beside_an_address():
    answer = lab("01", "--stats", "x.sock")
    assert answer.returncode == 2
    assert "give one of both" in answer.stderr


@pytest.mark.full
def test_watch_repeats_until_its_server_goes_away(tmp_path):
    with two_servers(tmp_path) as both:
        command = [sys.executable, "-u", "-m", "offload_lab", "explain", "--watch", "--stats", both.front]
        with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as watching:
            heads = 0
            for line in watching.stdout:
                heads += "Ctrl-C ends it" in line
                if heads == 2:
                    break
            both.master.terminate()
            _, errors = watching.communicate(timeout=scaled(30))
    assert watching.returncode == 1
    assert "cannot read the stats server at" in " ".join(errors.split())
