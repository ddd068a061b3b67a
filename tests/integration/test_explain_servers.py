"""explain of servers that end, say nothing, or are several; and what its command repeats and refuses."""

import json
import os
import signal
import subprocess
import sys
from contextlib import ExitStack

import psutil
import pytest

from offload_lab.inspect import describe
from offload_lab.inspect.observe import take_snapshot_at
from offload_lab.paths import ROOT
from offload_lab.process.polling import wait_for
from offload_lab.process.server_process import free_port
from offload_lab.system import is_linux
from offload_lab.timeouts import scaled
from offload_lab.uwsgi.stats import StatsError, read_stats

from .explained_servers import BACKEND_APP, WORKERS, answering, client, ready, two_servers, uwsgi
from .test_explain_any import lab

pytestmark = pytest.mark.skipif(not is_linux(), reason="only Linux tells what a thread waits for: proc(5)")


def test_a_number_that_only_uwsgi_knows_is_not_guessed(tmp_path):
    with two_servers(tmp_path, threads="%k") as both, client(both.port, "/files/large.bin") as (slow, connection):
        assert connection.recv(8) == b"HTTP/1.0"
        found = []

        def thread_is_seen():
            found[:] = ["\n".join(describe(take_snapshot_at(both.front)))]
            return f"client {slow}: held by thread" in found[0]

        wait_for(thread_is_seen, 20, "the thread that holds the download")
        assert "which waits as offload threads do; how many of these it has is not known" in found[0]
        assert "held by offload thread" not in found[0]


# --- what may not be read


def test_a_worker_that_ends_while_it_is_looked_at_is_said_to_have_ended(tmp_path):
    """Its stats were read before, and its /proc is after."""
    with two_servers(tmp_path) as both:
        stats = read_stats(both.front)
        pid = stats["workers"][0]["pid"]
        os.kill(pid, signal.SIGKILL)
        wait_for(lambda: not psutil.pid_exists(pid), 20, "the end of the worker")
        with answering(tmp_path / "s", json.dumps(stats).encode()) as address:
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
        wait_for(lambda: all(ready(address) for address in addresses), 30, "all stats servers")
        answer = lab(*(word for address in addresses for word in ("--stats", address)), "--json")
    assert answer.returncode == 0, answer.stderr
    servers = [document["servers"][0] for document in json.loads(answer.stdout)]
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


# --- the command


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
