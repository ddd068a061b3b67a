"""The linter against every INI of the repository, each rule alone, and the command as a person or a CI runs it."""

import json
import os
import subprocess
import sys

import pytest

from offload_lab.cli.lint import read
from offload_lab.engine import ROOT
from offload_lab.lint import RULES, lint, parse
from offload_lab.timeouts import scaled

STEPS = ROOT / "steps"
PITFALLS = STEPS / "07_pitfalls"

# the fronts that block on purpose, and the pitfalls that stand in a configuration: file → rules
NAMED = {
    "01_file_wrapper/naive": {"no-offload-threads"},
    "01_file_wrapper/file_wrapper": {"no-offload-threads"},
    "02_xsendfile/blocking": {"hand-over-in-worker"},
    "03_sse_offload/blocking": {"nothing-handed-over"},
    "04_websocket/blocking": {"hand-over-in-worker"},
    "07_pitfalls/buffer_size_broken": {"small-buffer"},
    "07_pitfalls/gevent_django_broken": {"gevent-django"},
    "07_pitfalls/orm_in_gevent_late_broken": {"late-monkey-patch"},
    "07_pitfalls/headers_twice_broken": {"headers-twice"},
    "07_pitfalls/headers_lost_broken": {"headers-lost"},
    "07_pitfalls/headers_lost_fake_broken": {"headers-twice"},
    "07_pitfalls/content_type_bypass_broken": {"request-variable"},
    "07_pitfalls/static_safe_broken": {"static-safe"},
    "07_pitfalls/no_offload_threads_broken": {"hand-over-in-worker"},
    "07_pitfalls/queue_full_broken": {"one-offload-thread"},
    "07_pitfalls/recycle_cuts_broken": {"recycling-cuts"},
    "07_pitfalls/sigterm_reloads_broken": {"sigterm-reloads"},
}
# broken ones whose cause is code: their configuration is as good as the cured one's
CODE = {
    f"07_pitfalls/{name}_broken"
    for name in (
        "anonymous_user", "backend_down", "cross_site_websocket", "dead_clients", "greenlet_ceiling", "id_alone",
        "middleware_gzip", "orm_in_gevent",
        "shared_fragments", "sse_never_flushes",
    )
}  # fmt: skip
INIS = {str(path.relative_to(STEPS).with_suffix("")): path for path in sorted(STEPS.glob("*/*.ini"))}


@pytest.mark.parametrize("name", INIS)
def test_the_broken_files_are_named_by_their_rules_and_no_other_file_by_any(name):
    if name.endswith("_broken"):
        assert name in NAMED or name in CODE, "a new broken file: say in this module whether its configuration shows it"
    found = lint(parse(str(INIS[name]), read))
    assert {one.rule.id for one in found} == NAMED.get(name, set())


def test_no_pitfall_is_both_named_and_silent():
    assert not CODE & set(NAMED)


GOOD = """[uwsgi]
strict = true
umask = 077
http-socket = 127.0.0.1:9090
processes = 1
master = true
offload-threads = 2
buffer-size = 16384
pull-header = X-Offload X_OFFLOAD
response-route-if-not = empty:${X_OFFLOAD} disableheaders:
response-route-if-not = empty:${X_OFFLOAD} uwsgi:/run/hall/belt.sock,0,0
need-app = true
die-on-term = true
stats = /run/hall/stats.sock
module = hall.wsgi
"""
GATE = "response-route-if-not = empty:${X_OFFLOAD} "
DISABLE, HAND_OVER = GATE + "disableheaders:\n", GATE + "uwsgi:/run/hall/belt.sock,0,0\n"


def add(*lines):
    """The change that adds lines."""
    return ("processes = 1", "\n".join([*lines, "processes = 1"]))


# rule → the front above with one thing changed: what is replaced and what by, in pairs
BAD = {
    "hand-over-in-worker": [("offload-threads = 2", "offload-threads = 0"), ("offload-threads = 2\n", "")],
    "no-offload-threads": [("offload-threads = 2\n", "", HAND_OVER, "")],
    "nothing-handed-over": [(DISABLE, "", HAND_OVER, "")],
    "one-offload-thread": [
        ("offload-threads = 2", "offload-thread = 1"),
        ("offload-threads = 2", "offload-threads = %(one)\nset-placeholder = one=1"),
    ],
    "headers-twice": [
        (DISABLE, ""),
        (DISABLE, "", HAND_OVER, HAND_OVER + DISABLE),
        (DISABLE, DISABLE + "response-route-if = equal:${X_OTHER};1 http:127.0.0.1:8000\n"),
    ],
    "headers-lost": [
        (DISABLE, "response-route = ^/subscribe disableheaders:\n"),
        (DISABLE, "response-route-run = disableheaders:\n"),
        (DISABLE, "response-route-if = equal:${HTTP_ACCEPT};text/event-stream disableheaders:\n"),
    ],
    "request-variable": [add("collect-header = Content-Type CONTENT_TYPE"), add("pull-header = X-User HTTP_X_USER")],
    "refusal-ignored": [
        (HAND_OVER, "response-route = ^/subscribe uwsgi:/run/hall/belt.sock,0,0\n"),
        (HAND_OVER, "response-route-run = uwsgi:/run/hall/belt.sock,0,0\n"),
        (HAND_OVER, "response-route-if = equal:${HTTP_UPGRADE};websocket uwsgi:/run/hall/belt.sock,0,0\n"),
    ],
    "visitor-names-target": [
        (HAND_OVER, GATE + "uwsgi:${HTTP_X_BELT},0,0\n"),
        (HAND_OVER, GATE + "static:${QUERY_STRING}\n"),
    ],
    "static-safe": [(HAND_OVER, GATE + "static:${X_OFFLOAD}\nstatic-safe = /srv\n")],
    "honour-range": [add("honour-range = true")],
    "small-buffer": [
        ("buffer-size = 16384", "buffer-size = 2048"),
        ("buffer-size = 16384\n", "", "X-Offload X_OFFLOAD", "X-Data X_OFFLOAD"),
    ],
    "late-monkey-patch": [
        ("module = hall.wsgi", "module = app\ngevent = 9\ngevent-monkey-patch = true\nenv = DATABASE_URL=postgres://x")
    ],
    "gevent-django": [
        add("gevent = 100"),
        add("asyncio = 9"),
        ("module = hall.wsgi", "wsgi-file = %dhall/wsgi.py\ngevent = 9"),
        ("module = hall.wsgi", "module = app\nenv = DJANGO_SETTINGS_MODULE=hall.settings\ngevent = 9"),
    ],
    "recycling-cuts": [
        add(f"{name} = 5") for name in ("max-requests", "max-worker-lifetime", "reload-on-rss", "cheaper")
    ],
    "sigterm-reloads": [("die-on-term = true\n", ""), ("die-on-term = true", "die-on-term = false")],
    "public-backend": [
        add(f"socket = {address}") for address in (":3031", "0.0.0.0:3031", "[::]:3031", "10.0.0.5:3031", "hall:3031")
    ],
    "public-stats": [("/run/hall/stats.sock", ":9191"), ("stats = /run/hall/stats.sock", "stats-server = 0.0.0.0:1")],
    "predictable-socket": [
        ("/run/hall/stats.sock", "/tmp/stats.sock"),  # noqa: S108
        ("/run/hall/belt.sock", "/tmp/belt"),  # noqa: S108
        add("socket = /var/tmp/a.sock"),
    ],
    "open-socket": [add("socket = /run/hall/a.sock", f"chmod-socket = {mode}") for mode in ("666", "777", "")],
    "no-need-app": [("need-app = true\n", ""), ("need-app = true", "need-app = no")],
    "placeholder-kept": [add("set-ph = top=/run/hall", "set-ph = here=%(top)/x", "socket = %(here)")],
    "no-strict": [("strict = true\n", "")],
}
CASES = [(rule, change) for rule, changes in BAD.items() for change in changes]


def changed(change):
    text = GOOD
    for old, new in zip(change[::2], change[1::2], strict=True):
        assert old in text
        text = text.replace(old, new, 1)
    return text


def found_in(text):
    return lint(parse("hall.ini", {"hall.ini": text}.__getitem__))


def test_the_good_front_is_good():
    assert found_in(GOOD) == []


@pytest.mark.parametrize(("rule", "change"), CASES)
def test_one_thing_changed_is_found_by_its_rule_alone(rule, change):
    assert [one.rule.id for one in found_in(changed(change))] == [rule]


def test_every_rule_has_such_a_case():
    assert set(BAD) == {rule.id for rule in RULES}


SILENT = {
    "a UNIX socket of one's own": add("socket = /run/hall/a.sock", "chmod-socket = 660"),
    "sockets on the loopback": add("socket = 127.0.0.1:3031", "socket = [::1]:3031", "socket = localhost:3031"),
    "an address that is not known here": add("socket = %(where)", "socket = $(WHERE):3031"),
    "as many threads as processors": ("offload-threads = 2", "offload-threads = %k"),
    "threads below a condition": ("offload-threads = 2", "if-env = A\noffload-threads = 2\nendif ="),
    "need-app below a condition": ("need-app = true", "if-not-env = DEBUG\nneed-app = true\nendif ="),
    "one question and a label": (
        DISABLE + GATE,
        f"{GATE}goto:belt\nresponse-route-run = last:\nresponse-route-label = belt\n"
        "response-route-run = disableheaders:\nresponse-route-run = ",
    ),
    "the question the other way round": (
        DISABLE + GATE,
        "response-route-if = empty:${X_OFFLOAD} last:\nresponse-route-run = disableheaders:\nresponse-route-run = ",
    ),
    "the app's status decides": (
        DISABLE + GATE,
        "response-route-status = 202 disableheaders:\nresponse-route-status = 202 ",
    ),
    "headers stopped for all, handed over by letter": (
        HAND_OVER,
        "response-route-if = equal:${X_LETTER};a uwsgi:/run/hall/a.sock,0,0\n"
        "response-route-if = equal:${X_LETTER};b uwsgi:/run/hall/b.sock,0,0\n",
    ),
    "the app's headers sent first": ("disableheaders:", "send:"),
    "the server chosen by the app": (HAND_OVER, GATE + "uwsgi:${OFFLOAD_SERVER},0,0\n"),
    "the visitor's path behind a server of ours": (HAND_OVER, GATE + "http:127.0.0.1:8000,,${REQUEST_URI}\n"),
    "Flask's wsgi.py under gevent": ("module = hall.wsgi", "wsgi-file = %dwsgi.py\ngevent = 100"),
    "recycling that is switched off": add("max-requests = 0"),
}


@pytest.mark.parametrize("name", SILENT)
def test_it_is_silent_about(name):
    assert found_in(changed(SILENT[name])) == []


def test_a_finding_names_the_line():
    [one] = found_in(GOOD.replace("offload-threads = 2", "offload-threads = 1"))
    assert (one.option.file, one.option.line) == ("hall.ini", 7)


def test_every_rule_says_enough_and_fits_the_screen():
    assert len({rule.id for rule in RULES}) == len(RULES)
    for rule in RULES:
        assert rule.id == rule.id.lower().replace("_", "-").replace(" ", "")
        assert rule.users
        assert rule.cure
        assert rule.level in ("error", "warning")


def test_every_pitfall_that_a_rule_names_is_there():
    pages = {path.stem for path in PITFALLS.glob("*.md")} - {"README"}
    listed = (PITFALLS / "README.md").read_text()
    for rule in RULES:
        if rule.pitfall:
            assert f"({rule.pitfall}.md)" in listed
            assert not pages or rule.pitfall in pages


def test_every_pitfall_that_a_configuration_shows_has_its_rule():
    named = {rule.id: rule.pitfall for rule in RULES}
    for file, rules in NAMED.items():
        if file.startswith("07_"):
            assert any((named[rule] or "-") in file for rule in rules) or "fake" in file


# --- the command


def run(*words, cwd=ROOT, **environ):
    code = "from offload_lab.cli.lint import lint; lint(prog_name='lint')"
    return subprocess.run(
        [sys.executable, "-c", code, *map(str, words)],
        cwd=cwd, env={**os.environ, "PYTHONPATH": str(ROOT), **environ},
        capture_output=True, text=True, timeout=scaled(60),
    )  # fmt: skip


def test_findings_are_readable_in_80_columns_and_without_colour():
    answer = run("steps/03_sse_offload/header.ini", "steps/02_xsendfile/blocking.ini", COLUMNS="80")
    assert (answer.returncode, answer.stderr) == (1, "")
    assert "\x1b" not in answer.stdout
    assert max(map(len, answer.stdout.splitlines())) <= 80
    assert "steps/02_xsendfile/blocking.ini:25  error  hand-over-in-worker" in answer.stdout
    for part in (
        "users: the worker carries",
        "cure:  offload-threads = 2",
        "see:   steps/07_pitfalls/no_offload_threads.md",
    ):
        assert part in answer.stdout
    assert "header.ini" not in answer.stdout
    assert answer.stdout.endswith("1 error, 0 warnings in 2 files\n")


def test_colour_where_it_is_wanted():
    assert "\x1b[1;31merror" in run("steps/02_xsendfile/blocking.ini", FORCE_COLOR="1", TERM="xterm").stdout


def test_nothing_found_is_status_0():
    answer = run("steps/03_sse_offload/header.ini")
    assert (answer.returncode, answer.stdout) == (0, "0 errors, 0 warnings in 1 file\n")


def test_json_for_machines():
    answer = run("--json", "steps/02_xsendfile/blocking.ini", "nowhere.ini")
    assert (answer.returncode, answer.stderr) == (2, "")
    document = json.loads(answer.stdout)
    assert document["files"] == ["steps/02_xsendfile/blocking.ini", "nowhere.ini"]
    [finding] = document["findings"]
    assert finding["file"] == "steps/02_xsendfile/blocking.ini"
    assert finding["line"] == 25
    assert finding["rule"] == "hand-over-in-worker"
    assert finding["level"] == "error"
    assert finding["pitfall"] == "steps/07_pitfalls/no_offload_threads.md"
    assert document["unusable"] == [{"file": "nowhere.ini", "why": "cannot be read: No such file or directory"}]


def test_a_file_found_twice_is_told_once():
    answer = run("--json", "steps/02_xsendfile/blocking.ini", f"{ROOT}/steps/02_xsendfile/../02_xsendfile/blocking.ini")
    assert len(json.loads(answer.stdout)["findings"]) == 1


def test_what_cannot_be_used_is_named_with_its_reason_and_the_rest_is_linted(tmp_path):
    (tmp_path / "binary.ini").write_bytes(b"\x89PNG\r\n\0\0[uwsgi]\n")
    (tmp_path / "other.ini").write_text("[tool:pytest]\n")
    (tmp_path / "huge.ini").write_bytes(b"[uwsgi]\n" + b";" * 2**20)
    (tmp_path / "locked.ini").write_text("[uwsgi]\nmaster = true\n")
    (tmp_path / "folder.ini").mkdir()
    os.mkfifo(tmp_path / "pipe.ini")
    names = ("binary", "other", "huge", "folder", "pipe", "missing")
    answer = run(*(f"{name}.ini" for name in names), "locked.ini", cwd=tmp_path)
    assert answer.returncode == 2
    assert answer.stderr.splitlines() == [
        "error: binary.ini: is binary, not text",
        "error: other.ini: has no section [uwsgi], so nothing for uWSGI",
        "error: huge.ini: is larger than 1 MiB, no configuration is",
        "error: folder.ini: is a folder, not a file",
        "error: pipe.ini: is no ordinary file",
        "error: missing.ini: cannot be read: No such file or directory",
    ]
    assert "locked.ini:2  warning  sigterm-reloads" in answer.stdout


def test_text_in_another_encoding_is_read(tmp_path):
    (tmp_path / "latin.ini").write_bytes("[uwsgi]\n; für die Halle\nstrict = true\n".encode("latin-1"))
    assert run("latin.ini", cwd=tmp_path).returncode == 0


def test_square_brackets_in_a_file_are_not_taken_for_colours(tmp_path):
    (tmp_path / "a[red].ini").write_text("[uwsgi]\nstrict = true\nsocket = [::]:3031\n")
    answer = run("a[red].ini", cwd=tmp_path)
    assert "a[red].ini:3" in answer.stdout
    assert "listens on [::]:3031" in answer.stdout


def test_no_file_is_a_usage_error():
    answer = run()
    assert answer.returncode == 2
    assert "name at least one INI file" in answer.stderr


def test_the_rules_are_listed():
    answer = run("--rules")
    assert answer.returncode == 0
    for rule in RULES:
        assert rule.id in answer.stdout
