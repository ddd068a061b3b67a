"""The INI parser: alone with text, and against what uWSGI itself says that it read."""

import re
import subprocess
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from offload_lab.lint import lint
from offload_lab.timeouts import scaled
from offload_lab.uwsgi import binary
from offload_lab.uwsgi.config.model import ConfigError
from offload_lab.uwsgi.config.reader import IMPORTS, PLACEHOLDERS, parse


def loader(files):
    def load(path):
        try:
            return files[path]
        except KeyError:
            raise FileNotFoundError(2, "No such file or directory") from None

    return load


def read(text, environ=None, path="front.ini", **files):
    return parse(
        path, loader({path: text, **{name.replace("_ini", ".ini"): own for name, own in files.items()}}), environ
    )


def pairs(config):
    return [(option.name, option.value) for option in config.options]


# --- against uWSGI


TRICKY = {
    "repeated, spaces, no value": "[uwsgi]\nprocesses = 2\n  processes=3\nvacuum\nneed-app =\npythonpath = a = b\n",
    "comments, blank and Windows lines": "[uwsgi]\r\n; a\r\n# b\r\n\r\nthreads = 3 ; stays\r\nprocesses = 2\r\n",
    "no newline at the end": "[uwsgi]\nprocesses = 2",
    "other sections": "processes = 9\n[front]\nprocesses = 8\n[uwsgi]\nprocesses = 2\n[a]\nb = 4\n[uwsgi]\nc = 1\n",
    "a section of the same file": "[uwsgi]\nini = :base\nini = front.ini:base\n[base]\nprocesses = 4\n",
    "magic": "[uwsgi]\npyargv = %n|%s|%e|%d|%p|%c|%x|%o|%0|%%n|%q|100%\n",
    "magic in a section": "[uwsgi]\nini = :base\n[base]\npyargv = %n%x\n",
    "capital magic": "[uwsgi]\nini = base.ini\n",
    "placeholders, first of a name": "[uwsgi]\nset-ph = one=1\nset-ph = one=2\n"
    "set-placeholder=two=%(one)%(three)\npyargv = %(two) %()\npyargv = x%(two)\n",
    "placeholders of placeholders": "[uwsgi]\npyargv = %(c)\nset-ph = a=1\nset-ph = b=%(a)%(a)\nset-ph = c=<%(b)>\n",
    "options as placeholders": "[uwsgi]\npyargv = %(processes)-%(threads)\nprocesses = 2\nthreads = %(processes)\n",
    "any key is a placeholder": "[uwsgi]\nfront = north\npyargv = %(front)\n",
    "set": "[uwsgi]\nset = processes=3\npyargv = %(processes)\n",
    "arithmetic": "[uwsgi]\nset-ph = a=7\nset-ph = b=2\n"
    + "".join(
        f"pyargv = %({expression})\n"
        for expression in ("a + b", "a - b", "a * 3", "a / b", "a / 0", "a b", "a ++", "a --", "a + no")
    ),
    "environment": "[uwsgi]\npyargv = $(SITE)|$(NOWHERE)|$(SITE)%(front)\nset-ph = front=$(SITE)\n",
    "environment that names a placeholder": "[uwsgi]\npyargv = $(NAMED)\nset-ph = front=north\n",
    "loops": "[uwsgi]\nfor = a b\npyargv = %(_)\nendfor =\nfor-times = 3\npyargv = %(_)%(_)\nend-for =\nthreads = 2\n",
    "conditions that hold": "[uwsgi]\nif-env = SITE\npyargv = %(_)\nendif =\n"
    "if-not-file = /nowhere\npyargv = no %(_)\nendif =\n",
    "imports": "[uwsgi]\nprocesses = 2\nini = base.ini\nprocesses = 3\n",
    "a template comes last": "[uwsgi]\ninherit = base.ini\nprocesses = 3\n",
    "include": "[uwsgi]\ninclude = base.ini\npyargv = %n %N\n",
    "files in values": "[uwsgi]\npyargv = @(word)|x@(word)x|@(empty)|%(y)\ny = @(word)\nset-ph = z=@(word)\n",
    "else is no word of uWSGI 2.0": "[uwsgi]\nif-not-file = /nowhere\npyargv = a\nelse =\npyargv = b\nendif =\n",
    "an import of an import": "[uwsgi]\nini = chain.ini\n",
}  # fmt: skip
FILES = {
    "base.ini": "[uwsgi]\nprocesses = 5\npyargv = %n %N %(processes)\n",
    "chain.ini": "[uwsgi]\nini = base.ini\npyargv = %n %N\n",
    "word": "north\n",
    "empty": "",
}
ENVIRON = {"SITE": "north", "NAMED": "%(front)", "PATH": "/usr/bin:/bin", "HOME": "/"}
IGNORED = (*IMPORTS, *PLACEHOLDERS, "set")
LOGIC = re.compile(r"(end-?)?(if|for)(-.*)?|end")


def as_uwsgi_reads(folder):
    """Every option that uWSGI has in the end, from its own --show-config."""
    command = [*binary.find().command, "--show-config", "--no-server", "--ini", "front.ini"]
    answer = subprocess.run(
        command, cwd=folder, env=ENVIRON, capture_output=True, text=True, errors="replace", timeout=scaled(60)
    )
    text = answer.stderr + answer.stdout
    shown = re.search(r"\[uwsgi\]\n(.*);end of configuration", text, re.DOTALL)
    assert shown, text
    return [tuple(line.split(" = ", 1)) for line in shown[1].splitlines()][3:]  # our own three words


@pytest.mark.parametrize("name", TRICKY)
def test_it_reads_what_uwsgi_reads(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for file, text in {**FILES, "front.ini": TRICKY[name]}.items():
        (tmp_path / file).write_text(text)
    ours = parse("front.ini", lambda path: (tmp_path / path).read_text(), ENVIRON)
    theirs = [(name, value) for name, value in as_uwsgi_reads(tmp_path) if not LOGIC.fullmatch(name)]
    wanted = [(name, value) for name, value in theirs if name not in IGNORED]
    assert [(name, value) for name, value in pairs(ours) if name not in IGNORED] == wanted


# --- what uWSGI cannot be asked


def test_an_option_knows_its_file_and_line_also_after_an_import():
    config = read(
        "[uwsgi]\n; a comment\nprocesses = 2\nini = base.ini\nthreads = 3\n", base_ini="\n[uwsgi]\nvacuum = 1\n"
    )
    places = [(option.name, option.file, option.line) for option in config.options]
    assert places == [
        ("processes", "front.ini", 3),
        ("ini", "front.ini", 4),
        ("vacuum", "base.ini", 3),
        ("threads", "front.ini", 5),
    ]


def test_what_a_file_imports_below_a_condition_is_maybe():
    config = read("[uwsgi]\nif-file = base.ini\nini = %(_)\nendif =\nvacuum = 1\n", base_ini="[uwsgi]\nthreads = 2\n")
    assert [(option.name, option.maybe) for option in config.options] == [
        ("ini", True),
        ("threads", True),
        ("vacuum", False),
    ]


def test_an_import_is_found_where_uwsgi_starts_or_beside_the_file():
    beside = {"shop/front.ini": "[uwsgi]\nini = base.ini\n", "shop/base.ini": "[uwsgi]\nthreads = 2\n"}
    assert pairs(parse("shop/front.ini", loader(beside)))[-1] == ("threads", "2")
    both = {**beside, "base.ini": "[uwsgi]\nthreads = 7\n"}
    assert pairs(parse("shop/front.ini", loader(both)))[-1] == ("threads", "7")


def test_a_section_can_be_asked_for():
    assert pairs(parse("front.ini:base", loader({"front.ini": "[uwsgi]\na = 1\n[base]\nb = 2\n"}))) == [("b", "2")]


def test_below_a_condition_everything_is_kept_and_marked():
    config = read("[uwsgi]\nif-env = NO\nthreads = 2\nendif =\nif-not-env = NO\nthreads = 3\nendif =\nprocesses = 1\n")
    assert [(option.name, option.maybe) for option in config.options] == [
        ("threads", True),
        ("threads", True),
        ("processes", False),
    ]
    assert config.number("threads", default=0) == 3


@pytest.mark.parametrize("loop", ["for-glob = /srv/*", "for-readline = /srv/fronts", "if-opt = processes"])
def test_what_only_the_machine_knows_stays_as_it_is(loop):
    config = read(f"[uwsgi]\n{loop}\nstatic-map = /=%(_)\nend =\n")
    assert pairs(config) == [("static-map", "/=%(_)")]


@pytest.mark.parametrize(
    ("value", "on"),
    [("true", True), ("1", True), ("", True), ("yes", True), ("False", False), ("0", False), ("off", False)],
)
def test_a_flag_is_read_as_uwsgi_reads_it(value, on):
    assert read(f"[uwsgi]\nmaster = {value}\n").on("master") is on


@pytest.mark.parametrize(
    ("value", "number"), [("2", 2), ("2 ; two", 2), ("two", 0), ("", 0), ("$(N)", None), ("%k", None)]
)
def test_a_number_is_read_as_uwsgi_reads_it_or_is_unknown(value, number):
    assert read(f"[uwsgi]\nthreads = {value}\n").number("threads", default=1) == number


def test_the_last_of_a_repeated_option_counts():
    assert read("[uwsgi]\nthreads = 9\nthreads = 2\n").number("threads", default=0) == 2


UNUSABLE = [
    ({}, "cannot be read: No such file"),
    ({"front.ini": ""}, "no section [uwsgi]"),
    ({"front.ini": "[tool]\na = 1\n[app:uwsgi]\n"}, "it has [tool], [app:uwsgi]. Name one: front.ini:app:uwsgi"),
]


@pytest.mark.parametrize(("files", "why"), UNUSABLE)
def test_what_cannot_be_read_says_where_and_why(files, why):
    with pytest.raises(ConfigError) as caught:
        parse("front.ini", loader(files))
    assert caught.value.where == "front.ini"
    assert why in caught.value.why


PROBLEMS = [
    ({"front.ini": "[uwsgi]\n\nini = base.ini\n"}, "unread-import", "front.ini", 3),
    ({"front.ini": "[uwsgi]\nini = base.ini\n", "base.ini": "[a]\n"}, "unread-import", "front.ini", 2),
    ({"front.ini": "[uwsgi]\nini = http://example.org/base.ini\n"}, "unread-import", "front.ini", 2),
    ({"front.ini": "[uwsgi]\nfor-glob = /srv/*\nini = %(_)\n"}, "unread-import", "front.ini", 3),
    ({"front.ini": "[uwsgi]\nini = front.ini\n"}, "import-circle", "front.ini", 2),
    ({"front.ini": "[uwsgi]\ninherit = front.ini\n"}, "import-circle", "front.ini", 2),
    ({"front.ini": "[uwsgi]\nini = b.ini\n", "b.ini": "[uwsgi]\ninclude = front.ini\n"}, "import-circle", "b.ini", 2),
    ({"front.ini": "[uwsgi]\nini = :a\n[a]\nini = :uwsgi\n"}, "import-circle", "front.ini", 4),
    ({"front.ini": "[uwsgi]\na = x%(a)\n"}, "endless-value", "front.ini", 2),
    ({"front.ini": "[uwsgi]\nif-env = A\nif-env = B\nthreads = 2\nendif =\n"}, "nested-condition", "front.ini", 3),
]


@pytest.mark.parametrize(("files", "kind", "file", "line"), PROBLEMS)
def test_an_error_in_a_file_does_not_stop_the_reader(files, kind, file, line):
    text = files["front.ini"].replace("[uwsgi]\n", "[uwsgi]\nvacuum = true\n", 1)
    config = parse("front.ini", loader({**files, "front.ini": text}))
    line += file == "front.ini"
    assert [(problem.kind, problem.option.file, problem.option.line) for problem in config.problems] == [
        (kind, file, line)
    ]
    assert config.on("vacuum")


@pytest.mark.timeout(scaled(10))
def test_many_lines_and_long_lines_are_read():
    text = "[uwsgi]\nset-ph = long=" + "x" * 10**6 + "\n" + "pythonpath = %(long)\n" * 3 + "a = 1\n" * 20_000
    assert len(read(text).options) == 20_005


@pytest.mark.timeout(scaled(30))
@pytest.mark.parametrize(
    "text",
    [
        "[uwsgi]\nfor-times = 999999999\na = 1\n",
        "[uwsgi]\n" + "".join(f"ini = :s{n}\n" * 2 + f"[s{n}]\n" for n in range(40)),
    ],
    ids=["a long loop", "a tree of imports"],
)
def test_a_configuration_that_would_never_end_is_given_up(text):
    with pytest.raises(ConfigError, match="too many imports, or loops that are too long"):
        read(text)


WORDS = [
    "[uwsgi]",
    "[",
    "]",
    "[a",
    "=",
    "\n",
    " ",
    "%",
    "%(",
    ")",
    "$(",
    "a",
    "a = 1",
    "ini = :a",
    "set = ",
    "if-env = a",
    "for = a b",
]
WORDS += [
    "end =",
    "response-route-if = ",
    "route-label = a",
    "goto:a",
    "uwsgi:",
    "socket = ",
    ":",
    "env = ",
    "\0",
    "é",
    "inherit = front.ini",
]


@settings(deadline=None)
@given(st.lists(st.sampled_from(WORDS), max_size=40).map("".join))
def test_no_text_is_too_broken_for_an_answer(text):
    with suppress(ConfigError):
        assert lint(read("[uwsgi]\n" + text)) is not None
