"""The linter against every INI of the repository, and what a front that offloads can get wrong, one thing at a time."""

import re

import pytest

from offload_lab.lint import RULES, lint
from offload_lab.lint.rules import LEVELS
from offload_lab.lint.targets import read
from offload_lab.paths import ROOT
from offload_lab.uwsgi.config.reader import parse

STEPS = ROOT / "steps"
PITFALLS = STEPS / "07_pitfalls"

# the fronts that block on purpose, and the pitfalls that stand in a configuration: file → rules
NAMED = {
    "02_xsendfile/blocking": {"proxied-by-worker"},
    "03_sse_offload/blocking": {"nothing-offloaded"},
    "04_websocket/blocking": {"proxied-by-worker"},
    "07_pitfalls/buffer_size_broken": {"small-buffer"},
    "07_pitfalls/gevent_django_broken": {"gevent-django"},
    "07_pitfalls/orm_in_gevent_late_broken": {"late-monkey-patch"},
    "07_pitfalls/headers_twice_broken": {"headers-twice"},
    "07_pitfalls/headers_lost_broken": {"headers-lost"},
    "07_pitfalls/headers_lost_fake_broken": {"headers-twice"},
    "07_pitfalls/content_type_bypass_broken": {"request-variable"},
    "07_pitfalls/static_safe_broken": {"static-safe"},
    "07_pitfalls/no_offload_threads_broken": {"proxied-by-worker"},
    "07_pitfalls/queue_full_broken": {"one-offload-thread"},
    "07_pitfalls/recycle_cuts_broken": {"recycling-cuts"},
    "07_pitfalls/sigterm_reloads_broken": {"sigterm-reloads"},
    "07_pitfalls/open_stats_broken": {"open-socket", "open-stats"},
}
# broken ones whose cause is code: their configuration is as good as the cured one's
CODE = {
    f"07_pitfalls/{name}_broken"
    for name in (
        "anonymous_user", "backend_down", "cross_site_websocket", "dead_clients", "file_wrapper", "greenlet_ceiling",
        "id_alone",
        "middleware_gzip", "orm_in_gevent",
        "shared_fragments", "sse_never_flushes",
    )
}  # fmt: skip
INIS = {str(path.relative_to(STEPS).with_suffix("")): path for path in sorted(STEPS.glob("*/[!_]*.ini"))}


GENERAL = {
    "01_file_wrapper/naive": {"no-offload-threads"},
    "01_file_wrapper/file_wrapper": {"no-offload-threads"},
    "02_xsendfile/x_accel": {"no-offload-threads"},
}
HARAKIRI = {  # fronts that free a stuck worker; lint names the cost
    *(
        f"03_sse_offload/{name}"
        for name in ("addvar", "content_type", "goto", "header", "http_proxy", "no_start_response")
    ),
    *(f"06_shared_state/{name}" for name in ("cache", "redis", "stream")),
    "07_pitfalls/queue_full_fixed",
}


@pytest.mark.parametrize("name", INIS)
def test_each_file_of_the_repository_is_named_by_its_rules_and_no_other(name):
    if name.endswith("_broken"):
        assert name in NAMED or name in CODE, "a new broken file: say in this module whether its configuration shows it"
    found = lint(parse(str(INIS[name]), read))
    harakiri = {"harakiri-ends-streams"} if name in HARAKIRI else set()
    assert {finding.rule.id for finding in found if finding.level != "hygiene"} == NAMED.get(name, set()) | harakiri
    assert {finding.rule.id for finding in found if finding.level == "hygiene"} == GENERAL.get(name, set())


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
response-route-if-not = empty:${X_OFFLOAD} uwsgi:/run/shop/sse.sock,0,0
need-app = true
die-on-term = true
stats = /run/shop/stats.sock
module = shop.wsgi
"""
GATE = "response-route-if-not = empty:${X_OFFLOAD} "
DISABLE, HAND_OVER = GATE + "disableheaders:\n", GATE + "uwsgi:/run/shop/sse.sock,0,0\n"


def add(*lines):
    """The change that adds lines."""
    return ("processes = 1", "\n".join([*lines, "processes = 1"]))


# rule → the front above with one thing changed: what is replaced and what by, in pairs
BAD = {
    "proxied-by-worker": [("offload-threads = 2", "offload-threads = 0"), ("offload-threads = 2\n", "")],
    "no-offload-threads": [("offload-threads = 2\n", "", HAND_OVER, "")],
    "nothing-offloaded": [(DISABLE, "", HAND_OVER, "")],
    "one-offload-thread": [
        ("offload-threads = 2", "offload-thread = 1"),
        ("offload-threads = 2", "offload-threads = %(one)\nset-placeholder = one=1"),
    ],
    "headers-twice": [
        (DISABLE, ""),
        (DISABLE, "", HAND_OVER, HAND_OVER + DISABLE),
        (
            DISABLE,
            "pull-header = X-Other X_OTHER\n"
            + DISABLE
            + "response-route-if = equal:${X_OTHER};1 http:127.0.0.1:8000\n",
        ),
    ],
    "headers-lost": [
        (DISABLE, "response-route = ^/subscribe disableheaders:\n"),
        (DISABLE, "response-route-run = disableheaders:\n"),
        (DISABLE, "response-route-if = equal:${HTTP_ACCEPT};text/event-stream disableheaders:\n"),
    ],
    "request-variable": [add("collect-header = Content-Type CONTENT_TYPE"), add("pull-header = X-User HTTP_X_USER")],
    "refusal-ignored": [
        (HAND_OVER, "response-route = ^/subscribe uwsgi:/run/shop/sse.sock,0,0\n"),
        (HAND_OVER, "response-route-run = uwsgi:/run/shop/sse.sock,0,0\n"),
        (HAND_OVER, "response-route-if = equal:${HTTP_UPGRADE};websocket uwsgi:/run/shop/sse.sock,0,0\n"),
    ],
    "client-names-target": [
        (HAND_OVER, GATE + "uwsgi:${HTTP_X_TARGET},0,0\n"),
        (HAND_OVER, GATE + "static:${QUERY_STRING}\n"),
    ],
    "static-safe": [(HAND_OVER, GATE + "static:${X_OFFLOAD}\nstatic-safe = /srv\n")],
    "honour-range": [add("honour-range = true")],
    "small-buffer": [
        ("buffer-size = 16384", "buffer-size = 2048"),
        ("buffer-size = 16384\n", "", "X-Offload X_OFFLOAD", "X-Data X_OFFLOAD"),
    ],
    "late-monkey-patch": [
        ("module = shop.wsgi", "module = app\ngevent = 9\ngevent-monkey-patch = true\nenv = DATABASE_URL=postgres://x")
    ],
    "gevent-django": [
        add("gevent = 100"),
        add("asyncio = 9"),
        ("module = shop.wsgi", "wsgi-file = %dshop/wsgi.py\ngevent = 9"),
        ("module = shop.wsgi", "module = app\nenv = DJANGO_SETTINGS_MODULE=shop.settings\ngevent = 9"),
    ],
    "recycling-cuts": [
        add(f"{name} = 5") for name in ("max-requests", "max-worker-lifetime", "reload-on-rss", "cheaper")
    ],
    "sigterm-reloads": [("die-on-term = true\n", ""), ("die-on-term = true", "die-on-term = false")],
    "public-backend": [
        add(f"socket = {address}")
        for address in (":3031", "0.0.0.0:3031", "[::]:3031", "10.0.0.5:3031", "backend:3031")
    ],
    "public-stats": [("/run/shop/stats.sock", ":9191"), ("stats = /run/shop/stats.sock", "stats-server = 0.0.0.0:1")],
    "predictable-socket": [
        ("/run/shop/stats.sock", "/tmp/stats.sock"),  # noqa: S108
        ("/run/shop/sse.sock", "/tmp/sse"),  # noqa: S108
        add("socket = /var/tmp/a.sock"),
    ],
    "open-socket": [
        ("stats = /run/shop/stats.sock\n", f"socket = /run/shop/a.sock\nchmod-socket = {mode}\n")
        for mode in ("666", "777", "")
    ],
    "no-need-app": [("need-app = true\n", ""), ("need-app = true", "need-app = no")],
    "placeholder-kept": [add("set-ph = top=/run/shop", "set-ph = here=%(top)/x", "socket = %(here)")],
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
    return lint(parse("front.ini", {"front.ini": text}.__getitem__))


def test_the_good_front_is_good():
    assert found_in(GOOD) == []


@pytest.mark.parametrize(("rule", "change"), CASES)
def test_one_thing_changed_is_found_by_its_rule_alone(rule, change):
    assert [finding.rule.id for finding in found_in(changed(change))] == [rule]


SILENT = {
    "a UNIX socket of one's own": add("socket = /run/shop/a.sock", "chmod-socket = 660"),
    "sockets on the loopback": add("socket = 127.0.0.1:3031", "socket = [::1]:3031", "socket = localhost:3031"),
    "an address that is not known here": add("socket = %(where)", "socket = $(WHERE):3031"),
    "as many threads as processors": ("offload-threads = 2", "offload-threads = %k"),
    "threads below a condition": ("offload-threads = 2", "if-env = A\noffload-threads = 2\nendif ="),
    "need-app below a condition": ("need-app = true", "if-not-env = DEBUG\nneed-app = true\nendif ="),
    "one question and a label": (
        DISABLE + GATE,
        f"{GATE}goto:stream\nresponse-route-run = last:\nresponse-route-label = stream\n"
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
        "pull-header = X-Choice X_CHOICE\nresponse-route-if = equal:${X_CHOICE};a uwsgi:/run/shop/a.sock,0,0\n"
        "response-route-if = equal:${X_CHOICE};b uwsgi:/run/shop/b.sock,0,0\n",
    ),
    "the app's headers sent first": ("disableheaders:", "send:"),
    "the server chosen by the app": (
        HAND_OVER,
        "pull-header = X-Server OFFLOAD_SERVER\n" + GATE + "uwsgi:${OFFLOAD_SERVER},0,0\n",
    ),
    "the client's path behind a server of ours": (HAND_OVER, GATE + "http:127.0.0.1:8000,,${REQUEST_URI}\n"),
    "Flask's wsgi.py under gevent": ("module = shop.wsgi", "wsgi-file = %dwsgi.py\ngevent = 100"),
    "recycling that is switched off": add("max-requests = 0"),
}


@pytest.mark.parametrize("name", SILENT)
def test_it_is_silent_about(name):
    assert found_in(changed(SILENT[name])) == []


def test_a_finding_names_the_line():
    [finding] = found_in(GOOD.replace("offload-threads = 2", "offload-threads = 1"))
    assert (finding.option.file, finding.option.line) == ("front.ini", 7)


def test_a_small_buffer_is_named_where_it_is_set_last():
    text = GOOD.replace("buffer-size = 16384", "buffer-size = 65535\nbuffer-size = 2048")
    [finding] = found_in(text)
    assert (finding.rule.id, finding.option.line) == ("small-buffer", 9)


def test_every_rule_says_enough():
    assert len({rule.id for rule in RULES}) == len(RULES)
    for rule in RULES:
        assert rule.id == rule.id.lower().replace("_", "-").replace(" ", "")
        assert rule.effect
        assert rule.cure
        assert rule.level in LEVELS


DOCUMENTED = dict(re.findall(r"^### (\S+)\n(.*?)(?=^#|\Z)", (ROOT / "docs/lint.md").read_text(), re.M | re.S))


def test_the_page_documents_every_rule_and_no_other():
    assert sorted(DOCUMENTED) == sorted(rule.id for rule in RULES)
    assert [rule.page for rule in RULES] == [f"docs/lint.md#{rule.id}" for rule in RULES]


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.id)
def test_the_page_of_a_rule_says_the_same_and_names_a_proof(rule):
    text = DOCUMENTED[rule.id]
    assert f"*{rule.level}" in text
    assert rule.effect[1:] in text
    assert f"\n- Cure: {rule.cure}\n" in text
    file, _, test = re.search(r"^- Seen: `([^`]+)`", text, re.MULTILINE)[1].partition("::")
    assert (ROOT / file).exists()
    test, _, case = test.partition("[")
    assert not test or f"def {test}(" in (ROOT / file).read_text()
    assert not case or f'"{case.rstrip("]")}"' in (ROOT / file).read_text()


def test_every_pitfall_that_a_configuration_shows_has_its_rule():
    for file, rules in NAMED.items():
        if file.startswith("07_"):
            pages = [page for rule in rules for page in re.findall(r"/(\w+)\.md\)", DOCUMENTED[rule])]
            assert any(page in file for page in pages) or "fake" in file
