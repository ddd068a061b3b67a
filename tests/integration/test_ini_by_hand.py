"""Every INI of every step answers, ends and leaves nothing when a person starts it by hand.

By hand means: with two placeholders on the command line, from another working directory, and nothing prepared.
"""

import json
import os
import re
import shutil
import signal
import socket
import stat
import subprocess
from contextlib import suppress
from dataclasses import dataclass

import pytest

from offload_lab.clients import fetch
from offload_lab.errors import MissingDependencyError, ProcessDiedError
from offload_lab.process.deadlines import Deadline
from offload_lab.process.polling import wait_for
from offload_lab.process.process import Process
from offload_lab.process.server_process import free_port
from offload_lab.stages.stage import short_private_folder
from offload_lab.testing import require, require_program
from offload_lab.timeouts import scaled
from offload_lab.uwsgi import binary

from .test_ini_contract import ENDING, FRONTS, INIS, LESSONS, VARIANTS, name

READ_OR_WRITTEN_BY_OTHERS = 0o066
OPEN = {  # that pitfall is which sockets others may open
    "open_stats_broken": ["open_stats_broken-stats.sock", "proxy.sock"],
    "open_stats_fixed": ["proxy.sock"],
}
MISSING = re.compile(r"(\S.*) is missing; install it with: (.+)")  # said by an INI that needs a Redis, for example


@dataclass
class Seen:
    """What a start by hand showed. `pong` is status, type and body of /ping; None for a backend."""

    pong: tuple | None
    open_to_others: list[str]
    sockets_left: list[str]
    status: int
    log: str


def engine_for(ini):
    """The least that can run it: the wheel, unless all of its variants need more."""
    needs = min((variant.needs for variant in VARIANTS[ini]), key=len, default=())
    found = binary.find()
    try:
        found.check(needs)
    except MissingDependencyError:
        try:
            return binary.find("built")
        except MissingDependencyError as missing:
            require(False, missing.what, missing.install)
    return found


def accepts(run, ini):
    """Whether the stats server lists a worker in its loop. A SIGTERM that comes between fork and loop would be lost."""
    with suppress(OSError), socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(scaled(5))
        connection.connect(str(run / f"{ini.stem}-stats.sock"))
        stats = json.loads(b"".join(iter(lambda: connection.recv(65536), b"")))
        return any(worker["accepting"] for worker in stats["workers"])
    return False


def start_and_stop(ini, run, elsewhere, before):
    """Start `ini` as a person would, with the words `before` the command, look at it, send SIGTERM, look at what is
    left."""
    port = free_port()
    arguments = ["--set-placeholder", f"port={port}", "--set-placeholder", f"run={run}", "--ini", str(ini)]
    command = ["/bin/sh", "-c", 'cd "$0" && exec "$@"', str(elsewhere), *before, *engine_for(ini).command, *arguments]
    plain = {"PATH": os.defpath, "HOME": str(elsewhere)}
    with Process(ini.stem, command, elsewhere / "log", scratch=run, env=plain) as process:
        process.wait_until(lambda: accepts(run, ini), Deadline(30))
        pong = fetch(port, "/ping") if ini in FRONTS else None
        open_to_others = [path.name for path in run.rglob("*") if path.lstat().st_mode & READ_OR_WRITTEN_BY_OTHERS]
        os.kill(process.pid, signal.SIGTERM)
        wait_for(lambda: process.status() is not None, 20, f"the end of {name(ini)} after SIGTERM")
        status = process.status()
    sockets_left = [path.name for path in run.rglob("*") if stat.S_ISSOCK(path.lstat().st_mode)]
    answer = pong and (pong.status, pong.headers.get_content_type(), pong.body)
    return Seen(answer, open_to_others, sockets_left, status, process.log_tail())


def try_by_hand(ini, before=()):
    run, elsewhere = short_private_folder(), short_private_folder()
    try:
        return start_and_stop(ini, run, elsewhere, before)
    except ProcessDiedError as died:
        lacking = MISSING.search(died.log_tail)
        if lacking is None:
            raise
        return require(False, *lacking.groups())
    finally:
        shutil.rmtree(run)
        shutil.rmtree(elsewhere)


@pytest.mark.full
@pytest.mark.parametrize("ini", INIS, ids=name)
def test_it_answers_and_ends_and_leaves_nothing(ini):
    seen = try_by_hand(ini)
    assert seen.pong == ((200, "text/plain", b"pong") if ini in FRONTS else None)
    assert sorted(seen.open_to_others) == OPEN.get(ini.stem, [])
    if ini in ENDING:
        assert seen.status == 0, seen.log
        assert seen.sockets_left == []


WITHOUT_PROC = 'mount -t tmpfs none /proc && exec "$0" "$@"'


@pytest.mark.full
def test_it_answers_where_there_is_no_proc():
    """As on macOS, where an INI that needs a file of it would end uWSGI at its start."""
    hidden = [require_program("unshare"), "--map-root-user", "--mount", "/bin/sh", "-c", WITHOUT_PROC]
    able = subprocess.run([*hidden, "true"], capture_output=True).returncode == 0
    require(able, "the right to mount in a namespace", "allow user namespaces, or run as root")
    seen = try_by_hand(LESSONS[0], hidden)
    assert (seen.pong, seen.status) == ((200, "text/plain", b"pong"), 0), seen.log
