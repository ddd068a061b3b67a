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
import subprocess
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

from offload_lab.clients import fetch
from offload_lab.errors import MissingDependencyError, ProcessDiedError
from offload_lab.process.deadlines import Deadline
from offload_lab.process.polling import wait_for
from offload_lab.process.process import Process
from offload_lab.process.server_process import free_port
from offload_lab.stages import manifest
from offload_lab.stages.stage import short_private_folder
from offload_lab.testing import require, require_program
from offload_lab.timeouts import scaled
from offload_lab.uwsgi import binary
from offload_lab.uwsgi.config.reader import parse

VARIANTS = {
    ini: [variant for variant in step.variants if ini.name in variant.inis]
    for step in manifest.steps()
    if not step.loopback  # those are deployed, and cannot run by hand here
    for ini in sorted(step.folder.glob("[!_]*.ini"))  # the others are included
}
INIS = list(VARIANTS)
FRONTS = [ini for ini, variants in VARIANTS.items() if any(ini.name == variant.inis[-1] for variant in variants)]
LESSONS = [ini for ini in FRONTS if not ini.stem.endswith(("_broken", "_fixed"))]  # a pitfall may be about just that
ENDING = [ini for ini in INIS if ini.stem != "sigterm_reloads_broken"]  # that pitfall is SIGTERM itself
# the store speaks to this machine only, and the pitfall is the buffer's size itself
HOLDING = [ini for ini in INIS if ini.stem != "store" and not ini.stem.startswith("buffer_size_")]
# what includes another step's file has no boilerplate of its own
SPLIT = [ini for ini in INIS if ini.parent.name < "07" and not re.search(r"^ini =", ini.read_text(), re.MULTILINE)]
RULE = "; ---- the boilerplate: below this line every step has the same ----"
OPTION = re.compile(r"^([a-z0-9-]+) =", re.MULTILINE)
NEVER_ABOVE = {"umask", "tcp-nodelay", "buffer-size", "max-vars", "ignore-sigpipe", "ignore-write-errors"}
NEVER_ABOVE |= {"master", "need-app", "die-on-term", "binary-path", "vacuum", "stats", "enable-threads", "no-orphans"}
NEVER_ABOVE |= {"if-exists", "endif"}
BOILERPLATE = NEVER_ABOVE | {"set-placeholder", "exec-asap", "http-socket", "route-if-not", "harakiri"}
READ_OR_WRITTEN_BY_OTHERS = 0o066
OPEN = {  # that pitfall is which sockets others may open
    "open_stats_broken": ["open_stats_broken-stats.sock", "proxy.sock"],
    "open_stats_fixed": ["proxy.sock"],
}
MISSING = re.compile(r"(\S.*) is missing; install it with: (.+)")  # said by an INI that needs a Redis, for example
BINDS = ("socket", "http", "https", "stats", "stats-server", "fastrouter", "rawrouter", "mule-msg-socket")


def name(ini):
    return f"{ini.parent.name}/{ini.name}"


def options(ini):
    """(name, value) as they stand, in the order in which uWSGI reads them; an included file has its own %n."""
    read = parse(str(ini), lambda path: Path(path).read_text()).options
    lines = [option for option in read if option.plain and option.name != "ini"]
    return [(line.name, line.text.partition("=")[2].strip().replace("%n", Path(line.file).stem)) for line in lines]


def values(ini, option):
    return [value for key, value in options(ini) if key == option]


def placeholders(ini):
    """As uWSGI takes them: the first default wins."""
    return dict(reversed([value.split("=", 1) for value in values(ini, "set-placeholder")]))


# --- on paper


def test_the_first_line_makes_a_misspelt_option_an_error():
    assert [name(ini) for ini in INIS if options(ini)[0] != ("strict", "true")] == []


def test_the_lesson_precedes_the_boilerplate():
    parts = {ini: re.split(f"^{RULE}$", ini.read_text(), flags=re.MULTILINE) for ini in SPLIT}
    assert [name(ini) for ini, found in parts.items() if len(found) != 2] == []
    keys = {ini: [OPTION.findall(part) for part in found] for ini, found in parts.items()}
    assert {key for _, below in keys.values() for key in below} <= BOILERPLATE
    assert [name(ini) for ini, (above, _) in keys.items() if NEVER_ABOVE & set(above)] == []


def test_the_apps_get_their_configuration_by_name():
    pairs = [(name(ini), pair) for ini in INIS for value in values(ini, "pyargv") for pair in value.split()]
    assert [pair for pair in pairs if "=" not in pair[1]] == []


def test_a_front_sends_at_once():
    """A UNIX socket has nothing to wait for."""
    assert [name(ini) for ini in INIS if values(ini, "tcp-nodelay") != (["true"] if ini in FRONTS else [])] == []


def test_all_that_a_client_may_send_fits_into_the_buffer():
    """What does not fit is an empty reply or a missing variable. A backend must take all that its front takes."""
    assert [name(ini) for ini in HOLDING if values(ini, "buffer-size") != ["65535"]] == []
    assert [name(ini) for ini in HOLDING if values(ini, "max-vars") != (["4096"] if ini in FRONTS else [])] == []


def test_a_front_refuses_a_scheme_that_would_end_its_worker():
    """As wsgi.url_scheme uWSGI decodes it as UTF-8, and does not look whether that worked."""
    line = "regexp:${HTTP_X_FORWARDED_PROTO};^[\\x20-\\x7e]*$ break:400 Bad Request"
    assert [name(ini) for ini in FRONTS if line not in values(ini, "route-if-not")] == []


def test_a_front_keeps_a_clients_line_feeds_out_of_its_log():
    asked = "regexp:${REQUEST_METHOD}${REQUEST_URI}${SERVER_PROTOCOL};^[^[:cntrl:]]*$ "
    wanted = [f"{asked}{action}" for action in ("log:400 Bad Request: control characters", "donotlog:")]
    wanted.append(f"{asked}break:400 Bad Request")
    found = {ini: [line for line in values(ini, "route-if-not") if line.startswith(asked)] for ini in FRONTS}
    assert [name(ini) for ini in FRONTS if found[ini] != wanted] == []


def test_a_front_logs_no_write_error():
    """That line holds the target, and what lies in memory behind 4,096 bytes of it."""
    silent = ("ignore-sigpipe", "ignore-write-errors")
    assert [f"{name(ini)}: {option}" for ini in FRONTS for option in silent if values(ini, option) != ["true"]] == []


def test_the_run_folder_has_a_default_and_so_has_a_fronts_port():
    has = {ini: placeholders(ini) for ini in INIS}
    assert [name(ini) for ini in INIS if has[ini].get("run") != "%d.run"] == []
    assert [name(ini) for ini in INIS if has[ini].get("port") != ("9090" if ini in FRONTS else None)] == []


def test_the_run_folder_is_made_before_anything_binds_and_for_our_user_only():
    assert [name(ini) for ini in INIS if values(ini, "umask") != ["077"]] == []
    made = ("exec-asap", "mkdir -p %(run)")  # what is executed as soon as possible precedes every socket
    assert [name(ini) for ini in INIS if made not in options(ini)] == []
    assert [name(ini) for ini in INIS if options(ini).index(("umask", "077")) > options(ini).index(made)] == []


def test_it_starts_whole_and_leaves_nothing():
    wanted = ("master", "need-app", "vacuum")
    assert [f"{name(ini)}: {option}" for ini in INIS for option in wanted if values(ini, option) != ["true"]] == []


def test_sigterm_is_set_to_end_it():
    assert [name(ini) for ini in ENDING if values(ini, "die-on-term") != ["true"]] == []


def test_sighup_is_set_to_reload_it_inside_a_virtual_environment_too():
    assert [name(ini) for ini in ENDING if values(ini, "binary-path") != ["@(/proc/self/cmdline)"]] == []


def test_no_file_of_linux_is_read_elsewhere():
    """uWSGI ends at its start where a file is missing."""
    conditional = re.compile(r"^if-exists = (\S+)\n.*@\(\1\)\nendif =$", re.MULTILINE)
    rest = {ini: conditional.sub("", ini.read_text()) for ini in INIS}
    assert [name(ini) for ini, text in rest.items() if "@(" in re.sub("^;.*", "", text, flags=re.MULTILINE)] == []


def test_a_stats_server_listens_in_the_run_folder():
    assert [name(ini) for ini in INIS if values(ini, "stats")[-1:] != [f"%(run)/{ini.stem}-stats.sock"]] == []


def bound(ini):
    """What it binds to."""
    keys = {key for key, _ in options(ini) if key in BINDS or (key.endswith("-socket") and key != "chmod-socket")}
    return [value for key, value in options(ini) if key in keys]


def test_nothing_is_bound_where_others_could_reach_it():
    assert [name(ini) for ini in INIS if not bound(ini)] == []
    ours = ("127.0.0.1:", "%(run)/")
    assert [f"{name(ini)}: {value}" for ini in INIS for value in bound(ini) if not value.startswith(ours)] == []


def test_a_front_has_one_process_and_one_thread():
    """enable-threads is no second one: without it, a thread that the app starts does not run."""
    several = {"workers", "threads", "gevent", "async", "cheaper"}
    assert [name(ini) for ini in LESSONS if values(ini, "processes") != ["1"]] == []
    assert [name(ini) for ini in LESSONS if several & {key for key, _ in options(ini)}] == []


def fixed_twin(ini):
    return ini.with_stem(ini.stem.replace("_broken", "_fixed"))


def own_lines(ini):
    return {line.strip() for line in ini.read_text().splitlines() if line.strip() and line.strip()[0] not in "[;#"}


@pytest.mark.parametrize(
    "broken", [ini for ini in INIS if ini != fixed_twin(ini) and fixed_twin(ini) in INIS], ids=name
)
def test_the_diff_of_a_pair_is_its_pitfall(broken):
    """What both have in common stands in a file that both include."""
    bad, good = own_lines(broken), own_lines(fixed_twin(broken))
    assert bad != good
    assert max(len(bad - good), len(good - bad)) <= 6
    assert any(line.startswith("ini = %d") for line in bad)
    assert any(line.startswith("ini = %d") for line in good)


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
def test_by_hand_it_answers_and_ends_and_leaves_nothing(ini):
    seen = try_by_hand(ini)
    assert seen.pong == ((200, "text/plain", b"pong") if ini in FRONTS else None)
    assert sorted(seen.open_to_others) == OPEN.get(ini.stem, [])
    if ini in ENDING:
        assert seen.status == 0, seen.log
        assert seen.sockets_left == []


WITHOUT_PROC = 'mount -t tmpfs none /proc && exec "$0" "$@"'


@pytest.mark.full
def test_by_hand_it_answers_where_there_is_no_proc():
    """As on macOS, where an INI that needs a file of it would end uWSGI at its start."""
    hidden = [require_program("unshare"), "--map-root-user", "--mount", "/bin/sh", "-c", WITHOUT_PROC]
    able = subprocess.run([*hidden, "true"], capture_output=True).returncode == 0
    require(able, "the right to mount in a namespace", "allow user namespaces, or run as root")
    seen = try_by_hand(LESSONS[0], hidden)
    assert (seen.pong, seen.status) == ((200, "text/plain", b"pong"), 0), seen.log
