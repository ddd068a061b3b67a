"""Every INI of every step keeps the contract that makes it worth copying, on paper and when a person starts it by hand.

By hand means: with two placeholders on the command line, from another working directory, and nothing prepared.
"""

import json
import os
import re
import shutil
import signal
import socket
import stat
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass

import pytest

from offload_lab import engine, manifest
from offload_lab.clients import fetch
from offload_lab.errors import Missing, ProcessDied
from offload_lab.process import Deadline, Process
from offload_lab.stage import short_private_folder
from offload_lab.testing import require, wait_for
from offload_lab.uwsgi import free_port

VARIANTS = {
    ini: [variant for variant in step.variants if ini.name in variant.inis]
    for step in manifest.steps()
    for ini in sorted(step.folder.glob("*.ini"))
}
INIS = list(VARIANTS)
FRONTS = [ini for ini, variants in VARIANTS.items() if any(ini.name == variant.inis[-1] for variant in variants)]
LESSONS = [ini for ini in FRONTS if not ini.stem.endswith(("_broken", "_fixed"))]  # a pitfall may be about just that
ENDING = [ini for ini in INIS if ini.stem != "sigterm_reloads_broken"]  # that pitfall is SIGTERM itself
# the store speaks to this machine only, and the pitfall is the buffer's size itself
HOLDING = [ini for ini in INIS if ini.stem != "store" and not ini.stem.startswith("buffer_size_")]
READ_OR_WRITTEN_BY_OTHERS = 0o066
OPEN = {  # that pitfall is which sockets others may open
    "open_stats_broken": ["open_stats_broken-stats.sock", "proxy.sock"],
    "open_stats_fixed": ["proxy.sock"],
}
MISSING = re.compile(r"(\S.*) is missing; install it with: (.+)")  # said by an INI that needs a Redis, for example
BINDS = ("socket", "http", "https", "stats", "stats-server", "fastrouter", "rawrouter", "mule-msg-socket")


def name(ini):
    return f"{ini.parent.name}/{ini.name}"


def every(inis):
    return pytest.mark.parametrize("ini", inis, ids=name)


def options(ini):
    """(name, value) in the order in which uWSGI reads them; an included file stands in its place, with its own %n."""
    read = []
    for line in ini.read_text().splitlines():
        line = line.strip()
        if line and line[0] not in "[;#":
            option, _, value = (part.strip() for part in line.replace("%n", ini.stem).partition("="))
            read += options(ini.parent / value.removeprefix("%d")) if option == "ini" else [(option, value)]
    return read


def values(ini, option):
    return [value for key, value in options(ini) if key == option]


def placeholders(ini):
    """As uWSGI takes them: the first default wins."""
    return dict(reversed([value.split("=", 1) for value in values(ini, "set-placeholder")]))


# --- on paper


@every(INIS)
def test_the_first_line_makes_a_misspelt_option_an_error(ini):
    assert options(ini)[0] == ("strict", "true")


@every(INIS)
def test_a_front_sends_at_once(ini):
    """A UNIX socket has nothing to wait for."""
    assert values(ini, "tcp-nodelay") == (["true"] if ini in FRONTS else [])


@every(HOLDING)
def test_all_that_a_client_may_send_fits_into_the_buffer(ini):
    """What does not fit is an empty reply or a missing variable. A backend must take all that its front takes."""
    assert values(ini, "buffer-size") == ["65535"]
    assert values(ini, "max-vars") == (["4096"] if ini in FRONTS else [])


@every(INIS)
def test_the_run_folder_has_a_default_and_so_has_a_fronts_port(ini):
    has = placeholders(ini)
    assert (has.get("run"), has.get("port")) == ("%d.run", "9090" if ini in FRONTS else None)


@every(INIS)
def test_the_run_folder_is_made_before_anything_else_and_for_our_user_only(ini):
    assert values(ini, "umask") == ["077"]
    order = [key for key, _ in options(ini)]
    assert order.index("umask") < order.index("exec-asap")
    assert values(ini, "exec-asap")[0] == "mkdir -p %(run)"


@every(INIS)
@pytest.mark.parametrize("option", ["master", "need-app", "vacuum"])
def test_it_starts_whole_and_leaves_nothing(ini, option):
    assert values(ini, option) == ["true"]


@every(ENDING)
def test_sigterm_is_set_to_end_it(ini):
    assert values(ini, "die-on-term") == ["true"]


@every(INIS)
def test_a_stats_server_listens_in_the_run_folder(ini):
    assert values(ini, "stats")[-1:] == [f"%(run)/{ini.stem}-stats.sock"]


@every(INIS)
def test_nothing_is_bound_where_others_could_reach_it(ini):
    keys = [key for key, _ in options(ini) if key in BINDS or (key.endswith("-socket") and key != "chmod-socket")]
    bound = [value for key, value in options(ini) if key in keys]
    assert bound
    assert [value for value in bound if not value.startswith(("127.0.0.1:", "%(run)/"))] == []


@every(LESSONS)
def test_a_front_has_one_process_and_one_thread(ini):
    assert values(ini, "processes") == ["1"]
    several = {"workers", "threads", "enable-threads", "gevent", "async", "cheaper"}
    assert several & {key for key, _ in options(ini)} == set()


# --- by hand


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
    found = engine.find()
    try:
        found.check(needs)
    except Missing:
        try:
            return engine.find("built")
        except Missing as missing:
            require(False, missing.what, missing.install)
    return found


def accepts(run, ini):
    """Whether the stats server lists a worker in its loop. A SIGTERM that comes between fork and loop would be lost."""
    with suppress(OSError), socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(5)
        connection.connect(str(run / f"{ini.stem}-stats.sock"))
        stats = json.loads(b"".join(iter(lambda: connection.recv(65536), b"")))
        return any(worker["accepting"] for worker in stats["workers"])
    return False


def start_and_stop(ini, run, elsewhere):
    """Start `ini` as a person would, look at it, send SIGTERM, look at what is left."""
    port = free_port()
    words = ["--set-placeholder", f"port={port}", "--set-placeholder", f"run={run}", "--ini", str(ini)]
    command = ["/bin/sh", "-c", 'cd "$0" && exec "$@"', str(elsewhere), *engine_for(ini).command, *words]
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


def try_by_hand(ini):
    run, elsewhere = short_private_folder(), short_private_folder()
    try:
        return start_and_stop(ini, run, elsewhere)
    except ProcessDied as died:
        lacking = MISSING.search(died.log_tail)
        if lacking is None:
            raise
        return require(False, *lacking.groups())
    finally:
        shutil.rmtree(run)
        shutil.rmtree(elsewhere)


@pytest.fixture(scope="module")
def tries(request):
    """One try for each INI whose tests were chosen, two at a time, in the order in which the tests ask for them."""
    chosen = [item.callspec.params["ini"] for item in request.session.items if "by_hand" in item.fixturenames]
    pool = ThreadPoolExecutor(2)
    yield {ini: pool.submit(try_by_hand, ini) for ini in dict.fromkeys(chosen)}
    pool.shutdown(cancel_futures=True)


@pytest.fixture
def by_hand(tries, ini):
    """What was seen. Raises, or skips, as the try did."""
    return tries[ini].result()


@every(FRONTS)
def test_a_front_started_by_hand_answers_ping(by_hand):
    assert by_hand.pong == (200, "text/plain", b"pong")


@every(INIS)
def test_nothing_in_the_run_folder_is_open_to_others(ini, by_hand):
    assert sorted(by_hand.open_to_others) == OPEN.get(ini.stem, [])


@every(ENDING)
def test_sigterm_ends_it(by_hand):
    assert by_hand.status == 0, by_hand.log


@every(ENDING)
def test_no_socket_is_left_behind(by_hand):
    assert by_hand.sockets_left == []
