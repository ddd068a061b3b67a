"""Configurations that end badly, each with its rule, the line, and the cured file on which the rule is silent."""

import re
from pathlib import Path

import pytest

from offload_lab.lint import RULES, lint
from offload_lab.uwsgi.config.reader import parse

APP = "http-socket = 127.0.0.1:9090\nmodule = app\n"
STREAMS = (
    "offload-threads = 2\npull-header = X-Offload X_OFFLOAD\n"
    "response-route-if-not = empty:${X_OFFLOAD} disableheaders:\n"
    "response-route-if-not = empty:${X_OFFLOAD} uwsgi:/run/shop/sse.sock,0,0\n"
)


VALUES = {"address": "0.0.0.0:3031\n", "private": "/run/shop/app.sock\n"}


def judged(text, environ=None, **files):
    """Rule → level and line, of all but general advice."""
    texts = {
        "app.ini": f"[uwsgi]\n{text}",
        **VALUES,
        **{name.replace("_ini", ".ini"): own for name, own in files.items()},
    }

    def load(path):
        if path not in texts:
            raise FileNotFoundError(2, "No such file or directory")
        return texts[path]

    found = lint(parse("app.ini", load, environ or {}))
    return {
        finding.rule.id: (finding.level, finding.option.text.strip()) for finding in found if finding.level != "hygiene"
    }


def case(rule, level, line, bad, cured, **more):
    return pytest.param(rule, level, line, bad, cured, id=f"{rule}: {line}", **more)


CASES = [
    # pairs that end a server
    case("gevent-threads", "error", "threads = 2", APP + "gevent = 100\nthreads = 2\n", APP + "gevent = 100\n"),
    case("gevent-threads", "error", "threads=4", APP + "threads=4\ngevent=10\n", APP + "gevent=10\nthreads=1\n"),
    case("gevent-harakiri", "warning", "harakiri = 30", APP + "gevent = 9\nharakiri = 30\n", APP + "gevent = 9\n"),
    case(
        "gevent-recycling",
        "warning",
        "max-requests = 1000",
        APP + "gevent = 9\nmax-requests = 1000\n",
        APP + "gevent = 9\n",
    ),
    case(
        "gevent-threads", "error", "threads = 4", APP + "loop = gevent\nasync = 9\nthreads = 4\n", APP + "threads = 4\n"
    ),
    case(
        "gevent-recycling",
        "warning",
        "max-worker-lifetime = 60",
        APP + "gevent = 9\nmax-worker-lifetime = 60\n",
        APP + "gevent = 9\n",
    ),
    *(
        case("no-number", "error", line, APP + f"{line}\n", APP + f"{cured}\n")
        for line, cured in {
            "offload-threads = true": "offload-threads = 2",
            "offload-threads": "offload-threads = 1",
            "cheaper = yes": "cheaper = 2",
            "buffer-size = 32k": "buffer-size = 32768",
            "harakiri = 5m": "harakiri = 300s",
            "limit-post = 10M": "limit-post = 10485760",
            "reload-on-rss = auto": "reload-on-rss = 256M",
        }.items()
    ),
    *(
        case("unknown-option", "warning", line, APP + f"{line}\n", APP + f"{cured}\n")
        for line, cured in {
            "process = 4": "processes = 4",
            "chmod-sock = 660": "chmod-socket = 660",
            "env SITE = north": "env = SITE=north",
            "vassal-set = offload-treads=2": "vassal-set = offload-threads=2",
            "else =": "",
        }.items()
    ),
    case(
        "public-backend",
        "warning",
        "socket = @(address)",
        "socket = @(address)\nmodule = app\n",
        "socket = @(private)\nmodule = app\n",
    ),
    case(
        "unread-import",
        "note",
        "socket = @(exec://hostname):3031",
        "socket = @(exec://hostname):3031\nmodule = app\n",
        "socket = @(private)\nmodule = app\n",
    ),
    case(
        "cache-offload",
        "error",
        "route = ^/l cache:key=${REQUEST_URI},name=c",
        APP + "offload-threads = 2\nroute = ^/l cache:key=${REQUEST_URI},name=c\n",
        APP + "offload-threads = 2\nroute = ^/l cache:key=${REQUEST_URI},name=c,no_offload=true\n",
    ),
    case(
        "recycling-cuts",
        "warning",
        "max-requests = 16",
        APP + "offload-threads = 2\nstatic-map = /s=/srv\nmax-requests = 16\n",
        APP + "offload-threads = 2\nstatic-map = /s=/srv\n",
    ),
    case(
        "recycling-cuts",
        "warning",
        "cheaper = 2",
        APP + "offload-threads = 2\ncollect-header = X-Sendfile X_SENDFILE\n"
        "response-route-if-not = empty:${X_SENDFILE} static:${X_SENDFILE}\ncheaper = 2\n",
        APP + "offload-threads = 2\ncollect-header = X-Sendfile X_SENDFILE\n"
        "response-route-if-not = empty:${X_SENDFILE} static:${X_SENDFILE}\n",
    ),
    case("harakiri-ends-streams", "note", "harakiri = 30", APP + STREAMS + "harakiri = 30\n", APP + STREAMS),
    case(
        "harakiri-ends-streams",
        "note",
        "harakiri = 30",
        APP + "offload-threads = 2\ncheck-static = /srv\nharakiri = 30\n",
        APP + "check-static = /srv\nharakiri = 30\n",
    ),
    case(
        "router-websockets",
        "warning",
        "http = :8000",
        "http = :8000\nmodule = app\n" + STREAMS,
        "http = :8000\nhttp-websockets = true\nmodule = app\n" + STREAMS,
    ),
    case(
        "honour-range",
        "error",
        "honour-range = 1",
        APP + "offload-threads = 1\nhonour-range = 1\n",
        APP + "honour-range = 1\n",
    ),
    case(
        "file-wrapper-disabled",
        "warning",
        "wsgi-disable-file-wrapper = true",
        APP + "offload-threads = 2\nwsgi-disable-file-wrapper = true\n",
        APP + "wsgi-disable-file-wrapper = true\n",
    ),
    case(
        "open-stats",
        "warning",
        "chmod-socket = 666",
        APP + "stats = /run/shop/stats.sock\nchmod-socket = 666\n",
        APP + "stats = /run/shop/stats.sock\nchmod-socket = 660\n",
    ),
    case(
        "wheel-reload",
        "note",
        "touch-reload = /srv/touch",
        APP + "touch-reload = /srv/touch\n",
        APP + "touch-reload = /srv/touch\nbinary-path = /srv/venv/bin/python3\n",
    ),
    # values that are not what they look like
    case(
        "comment-in-value",
        "error",
        "pull-header = X-Offload X_OFFLOAD ; note",
        APP + STREAMS.replace("X-Offload X_OFFLOAD", "X-Offload X_OFFLOAD ; note"),
        APP + STREAMS,
    ),
    case(
        "comment-in-value", "error", "master = false ; x", APP + "master = false ; x\n", APP + "; x\nmaster = false\n"
    ),
    case(
        "comment-in-value",
        "error",
        "socket = app.sock  # here",
        APP + "socket = app.sock  # here\n",
        APP + "socket = app.sock\n",
    ),
    case(
        "comment-in-value",
        "error",
        "base = /srv # x",
        APP + "base = /srv # x\nchdir = %(base)\n",
        APP + "base = /srv\nchdir = %(base)\n",
    ),
    case(
        "unknown-option",
        "warning",
        "exec-pre = /bin/wait-for-redis",
        APP + "exec-pre = /bin/wait-for-redis\n",
        APP + "exec-pre-app = /bin/wait-for-redis\n",
    ),
    case(
        "unknown-option", "warning", "offload_threads = 1", APP + "offload_threads = 1\n", APP + "offload-threads = 1\n"
    ),
    case("unknown-option", "warning", "processes: 4", APP + "processes: 4\n", APP + "processes = 4\n"),
    case(
        "unknown-option",
        "error",
        "vaccum = true",
        APP + "strict = true\nvaccum = true\n",
        APP + "strict = true\nvacuum = true\n",
    ),
    case(
        "strict-refuses",
        "error",
        "base = /srv/app",
        APP + "strict = true\nbase = /srv/app\nchdir = %(base)\n",
        APP + "strict = true\nset-placeholder = base=/srv/app\nchdir = %(base)\n",
    ),
    case(
        "placeholder-is-option",
        "error",
        "set-ph = processes=4",
        APP + "set-ph = processes=4\n",
        APP + "set = processes=4\n",
    ),
    case("invalid-placeholder", "error", "set-ph = here", APP + "set-ph = here\n", APP + "set-ph = here=1\n"),
    case("endless-value", "error", "a = x%(a)", APP + "a = x%(a)\nchdir = %(a)\n", APP + "a = x\nchdir = %(a)\n"),
    case("import-circle", "error", "ini = app.ini", APP + "ini = app.ini\n", APP),
    case(
        "nested-condition",
        "warning",
        "if-env = B",
        APP + "if-env = A\nif-env = B\nthreads = 2\nendif =\n",
        APP + "if-env = A\nthreads = 2\nendif =\n",
    ),
    case("unread-import", "note", "ini = /etc/shop.ini", APP + "ini = /etc/shop.ini\n", APP),
    # collected and asked
    case(
        "collected-never-asked",
        "error",
        "pull-header = X-Offload X_OFLOAD",
        APP + STREAMS.replace("X-Offload X_OFFLOAD", "X-Offload X_OFLOAD"),
        APP + STREAMS,
    ),
    case(
        "asked-never-collected",
        "note",
        "response-route-if-not = empty:${X_OFFLOAD} disableheaders:",
        APP + STREAMS.replace("pull-header = X-Offload X_OFFLOAD\n", ""),
        APP + STREAMS,
    ),
    case(
        "condition-constant",
        "error",
        "response-route-if-not = empty:$X_OFFLOAD disableheaders:",
        APP + STREAMS.replace("${X_OFFLOAD} dis", "$X_OFFLOAD dis"),
        APP + STREAMS,
    ),
    # targets that cannot work
    case(
        "target-syntax",
        "error",
        "route = ^/ws uwsgi:/run/shop/ws.sock",
        APP + "offload-threads = 1\nroute = ^/ws uwsgi:/run/shop/ws.sock\n",
        APP + "offload-threads = 1\nroute = ^/ws uwsgi:/run/shop/ws.sock,0,0\n",
    ),
    case(
        "target-name",
        "error",
        "route = ^/ws http:backend:8000",
        APP + "offload-threads = 1\nroute = ^/ws http:backend:8000\n",
        APP + "offload-threads = 1\nroute = ^/ws http:10.0.0.7:8000\n",
    ),
    case(
        "path-too-long",
        "error",
        f"stats = /run/{'a' * 100}.sock",
        APP + f"stats = /run/{'a' * 100}.sock\n",
        APP + f"stats = /run/{'a' * 60}.sock\n",
    ),
    case(
        "unknown-action",
        "error",
        "route = ^/x disableheader:",
        APP + "route = ^/x disableheader:\n",
        APP + "route = ^/x disableheaders:\n",
    ),
    # who can connect, once values are expanded in the order of the lines
    case(
        "public-backend",
        "warning",
        "socket = %(addr)",
        "host = 0.0.0.0\naddr = %(host):3031\nsocket = %(addr)\nmodule = app\n",
        "host = 127.0.0.1\naddr = %(host):3031\nsocket = %(addr)\nmodule = app\n",
    ),
    case(
        "public-backend",
        "warning",
        "socket = 10.0.0.21:3031",
        "socket = 10.0.0.21:3031\nmodule = app\n",
        "; lint: ignore public-backend the firewall admits only the front\nsocket = 10.0.0.21:3031\nmodule = app\n",
    ),
    case(
        "placeholder-kept",
        "error",
        "socket = %(addr)",
        "set-ph = host=0.0.0.0\nset-ph = addr=%(host):3031\nsocket = %(addr)\nmodule = app\n",
        "set-ph = addr=127.0.0.1:3031\nsocket = %(addr)\nmodule = app\n",
    ),
]


@pytest.mark.parametrize(("rule", "level", "line", "bad", "cured"), CASES)
def test_a_rule_names_the_line_and_is_silent_on_the_cured_file(rule, level, line, bad, cured):
    assert judged(bad)[rule] == (level, line)
    assert rule not in judged(cured)


def test_every_rule_for_one_file_has_a_case():
    text = Path(__file__).with_name("test_lint.py").read_text()
    others = set(re.findall(r'^    "([a-z-]+)": \[', text, re.MULTILINE))
    tested = {case.values[0] for case in CASES} | others | {"yaml-stops", "no-die-on-term"}
    assert {rule.id for rule in RULES if rule.sides == 1} <= tested


SILENT = {
    "a comment after a number": "processes = 4  # as many as processors\nhttp-socket = :8000 ; all\nmodule = app\n",
    "a comment after a yes": APP + "master = true ; x\ndie-on-term = true # y\n",
    "shell words with a semicolon": APP + "exec-pre-app = cd /srv ; make\nenv = A=b#c\nlog-format = %(addr) ; %(uri)\n",
    "own names that values ask for": "base = /srv\nname = shop\nchdir = %(base)/%(name)\n" + APP,
    "an option that the file declares": APP + "declare-option = shop=chdir=/srv/$1\nshop = a\n",
    "options of a plugin that is not uWSGI's": APP + "plugins = shop\nshop-key = 1\n",
    "options of uWSGI's plugins": APP + "plugins = php,rack\nphp-docroot = /srv\nrack = config.ru\n",
    "own names of a part that other files import": "project = shop\nbase = /srv\nprocesses = 2\n",
    "HTTP on a plain socket": "protocol = http\nsocket = :8000\nmodule = app\n",
    "a collected header that the log shows": APP + "collect-header = X-User X_USER\nlog-format = %(var.X_USER)\n",
    "a pulled header that only the backend uses": APP + STREAMS + "pull-header = X-Key X_KEY\n",
    "variables that routes set": APP
    + STREAMS
    + "response-route-run = addvar:WHO=me\nresponse-route-if = equal:${WHO};me last:\n",
    "gevent that is switched off": APP + "gevent = 0\nthreads = 2\nharakiri = 30\n",
    "one thread": APP + "gevent = 9\nthreads = 1\n",
    "recycling without anything offloaded": APP + "offload-threads = 2\nmax-requests = 100\n",
    "a template's values": APP
    + "socket = {{ socket }}\nprocesses = {{ n }}\n{% if threads %}\nthreads = 2\n{% endif %}\n",
}


@pytest.mark.parametrize("name", SILENT)
def test_it_is_silent_about(name):
    assert judged(SILENT[name]) == {}


# --- what is decided only when uWSGI starts


def test_below_a_condition_an_error_is_a_warning_that_may_be():
    text = APP + "gevent = 100\nif-env = THREADS\nthreads = %(_)\nendif =\n"
    assert judged(text)["gevent-threads"] == ("warning", "threads = %(_)")
    assert judged(APP + "gevent = 100\nif-env = A\nthreads = 2\nendif =\n")["gevent-threads"][0] == "warning"


def test_a_file_that_a_condition_imports_is_judged_or_named():
    text = APP + "gevent = 100\nif-file = extra.override\nini = %(_)\nendif =\n"
    assert judged(text) == {"unread-import": ("note", "ini = %(_)")}
    assert judged(text, **{"extra.override": "[uwsgi]\nthreads = 2\n"})["gevent-threads"] == ("warning", "threads = 2")


def test_a_finding_in_an_included_file_names_that_file_and_its_line():
    texts = {"app.ini": "[uwsgi]\nini = deep/base.ini\n" + APP, "deep/base.ini": "[uwsgi]\n\n; x\nexec-pre = /bin/x\n"}
    [found] = [finding for finding in lint(parse("app.ini", texts.__getitem__)) if finding.rule.id == "unknown-option"]
    assert (found.option.place, found.option.text) == ("deep/base.ini:4", "exec-pre = /bin/x")


def test_options_in_the_environment_count():
    found = judged(APP + "gevent = 100\n", {"UWSGI_THREADS": "2", "UWSGI_RELOADS": "1"})
    assert found["gevent-threads"] == ("error", "UWSGI_THREADS=2")


# --- advice that does no harm


def test_strict_is_advised_only_after_own_names_are_placeholders():
    text = "[uwsgi]\nhost = 0.0.0.0\naddr = %(host):8000\nhttp-socket = %(addr)\nmodule = app\n"
    [found] = [
        finding for finding in lint(parse("a.ini", {"a.ini": text}.__getitem__)) if finding.rule.id == "no-strict"
    ]
    assert "host, addr would have to be set-placeholder first" in found.what
    cured = text
    for line, cure in zip(("host = 0.0.0.0", "addr = %(host):8000"), found.cure.split("; "), strict=False):
        cured = cured.replace(line, cure.split(" (")[0])
    after = lint(parse("a.ini", {"a.ini": cured.replace("[uwsgi]", "[uwsgi]\nstrict = true")}.__getitem__))
    assert {finding.rule.id for finding in after} == {"no-need-app", "no-offload-threads"}
