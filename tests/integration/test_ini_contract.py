"""Every INI of every step keeps the contract that makes it worth copying. test_ini_by_hand.py starts each."""

import re
from pathlib import Path

import pytest

from offload_lab.stages import manifest
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
