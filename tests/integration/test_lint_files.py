"""Which files the linter reads, in which formats, and which of them together."""

import os

import pytest

from offload_lab.paths import ROOT

from .test_lint_command import BLOCKING, as_json, rules, run, write

# --- what is read


def test_an_unusable_file_is_named_and_the_others_are_linted(tmp_path):
    (tmp_path / "binary.ini").write_bytes(b"\x89PNG\r\n\0\0[uwsgi]\n")
    (tmp_path / "other.ini").write_text("[tool:pytest]\n")
    (tmp_path / "huge.ini").write_bytes(b"[uwsgi]\n" + b";" * 2**20)
    (tmp_path / "folder.ini").mkdir()
    os.mkfifo(tmp_path / "pipe.ini")
    write(tmp_path, app="vaccum = true\n")
    names = ("binary", "other", "huge", "folder", "pipe", "missing")
    answer = run(*(f"{name}.ini" for name in names), "app.ini", cwd=tmp_path)
    assert answer.returncode == 2
    assert answer.stderr.splitlines() == [
        "error: binary.ini: is binary, not text",
        "error: other.ini: has no section [uwsgi]; it has [tool:pytest]. Name one: other.ini:tool:pytest",
        "error: huge.ini: is larger than 1 MiB, no configuration is",
        "error: folder.ini: is a folder with no file that uWSGI reads (.ini, .yml, .yaml, .json, .js, .xml)",
        "error: pipe.ini: is no ordinary file",
        "error: missing.ini: cannot be read: No such file or directory",
    ]
    assert "app.ini:2  warning  unknown-option" in answer.stdout


def test_another_section_can_be_named(tmp_path):
    (tmp_path / "app.ini").write_text("[app]\nvaccum = 1\n[other]\nvacuum = 1\n")
    assert rules(as_json("app.ini:app", cwd=tmp_path)) == {"unknown-option": "app.ini:2"}
    assert rules(as_json("app.ini:other", cwd=tmp_path)) == {}


FORMATS = {
    "app.yml": "# x\nuwsgi:\n  gevent: 100\n  env:\n    - A=1\n    - B=2\n  threads: 2 # two\n",
    "app.json": '{"uwsgi": {\n"gevent": 100,\n"env": ["A=1", "B=2"],\n\n"x": null,\n"y": 1,\n"threads": "2"}}',
    "app.xml": "<uwsgi>\n<gevent>100</gevent>\n<env>A=1</env>\n<!-- x -->\n\n<master/>\n<threads>2</threads></uwsgi>",
    "app.conf": "\n[uwsgi]\ngevent=100\n\n\n\nthreads=2\n",
}


@pytest.mark.parametrize("name", FORMATS)
def test_other_formats_are_read_with_their_lines(name, tmp_path):
    (tmp_path / name).write_text(FORMATS[name])
    assert rules(as_json(name, cwd=tmp_path))["gevent-threads"] == f"{name}:7"


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.json", "{", "is no JSON"),
        ("a.xml", "<uwsgi", "is no XML"),
        ("a.yml", "uwsgi:\n  a:\n    b: 1\n", "is YAML that"),
        ("a.xml", "<uwsgi><% x %></uwsgi>", "is a template of XML"),
    ],
)
def test_a_broken_file_is_named_for_its_format(name, text, message, tmp_path):
    (tmp_path / name).write_text(text)
    assert message in as_json(name, cwd=tmp_path)["unusable"][0]["why"]


def test_yaml_below_a_list_is_not_read_by_every_uwsgi(tmp_path):
    (tmp_path / "app.yml").write_text("uwsgi:\n  processes: 2\n  env:\n    - A=1\n  threads: 3\n")
    assert rules(as_json("app.yml", cwd=tmp_path)) == {"yaml-stops": "app.yml:3"}
    (tmp_path / "app.yml").write_text("uwsgi:\n  processes: 2\n  env: A=1\n  threads: 3\n")
    assert rules(as_json("app.yml", cwd=tmp_path)) == {}


# --- several files


def test_parts_of_one_configuration_are_read_as_one(tmp_path):
    write(tmp_path, base="gevent = 100\nhttp-socket = :8000\n", app="module = app\nthreads = 2\n")
    document = as_json("base.ini", "app.ini", cwd=tmp_path)
    assert document["one_configuration"]
    assert rules(document) == {"gevent-threads": "app.ini:3"}
    assert rules(as_json("--each", "base.ini", "app.ini", cwd=tmp_path)) == {}


def test_two_servers_are_not_read_as_one(tmp_path):
    server = "http-socket = :{}\nmodule = app\n"
    write(tmp_path, a=server.format(1) + "gevent = 100\n", b=server.format(2) + "threads = 2\n")
    document = as_json("a.ini", "b.ini", cwd=tmp_path)
    assert (document["one_configuration"], rules(document)) == (False, {})
    assert "gevent-threads" in rules(as_json("--one", "a.ini", "b.ini", cwd=tmp_path))


FRONT = (
    "http-socket = 127.0.0.1:80\noffload-threads = 2\nbuffer-size = 16384\nmodule = app\npull-header = X-O X_O\n"
    "response-route-if-not = empty:${X_O} disableheaders:\n"
    "response-route-if-not = empty:${X_O} uwsgi:/run/shop/sse.sock,0,0\n"
)
BACKEND = "socket = /run/shop/sse.sock\nbuffer-size = 32768\nmodule = sse\ngevent = 100\n"
SIDES = {
    "protocol-mismatch": ("front.ini:8", {}, {"socket =": "http-socket ="}),
    "buffer-mismatch": ("backend.ini:3", {}, {"32768": "8192"}),
    "socket-mismatch": ("front.ini:8", {}, {"sse.sock": "events.sock"}),
    "permission-mismatch": (
        "front.ini:8",
        {"module": "uid = www\ngid = www\nmodule"},
        {"module": "uid = sse\ngid = sse\nmodule"},
    ),
}


@pytest.mark.parametrize("rule", SIDES)
def test_a_front_and_a_backend_are_compared(rule, tmp_path):
    place, *changes = SIDES[rule]
    texts = [FRONT, BACKEND]
    write(tmp_path, front=FRONT, backend=BACKEND)
    assert rules(as_json("front.ini", "backend.ini", cwd=tmp_path)) == {}
    for number, change in enumerate(changes):
        for old, new in change.items():
            texts[number] = texts[number].replace(old, new)
    write(tmp_path, front=texts[0], backend=texts[1])
    found = rules(as_json("backend.ini", "front.ini", cwd=tmp_path))
    assert list(found) == [rule]
    assert found[rule].startswith(place.partition(":")[0])


def test_a_socket_that_both_may_enter_is_fine(tmp_path):
    write(
        tmp_path,
        front=FRONT + "uid = www\ngid = shop\n",
        backend=BACKEND + "uid = sse\ngid = shop\nchmod-socket = 660\n",
    )
    assert rules(as_json("front.ini", "backend.ini", cwd=tmp_path)) == {}


def test_a_folder_is_read_as_an_emperor_reads_it(tmp_path):
    (tmp_path / "vassals").mkdir()
    write(tmp_path / "vassals", a="gevent = 9\nthreads = 2\n", b="vaccum = 1\n")
    (tmp_path / "vassals" / "README").write_text("x")
    found = {"gevent-threads": "vassals/a.ini:3", "unknown-option": "vassals/b.ini:2"}
    assert rules(as_json("vassals", cwd=tmp_path)) == found
    write(tmp_path, emperor="emperor = vassals\n")
    assert rules(as_json("emperor.ini", cwd=tmp_path)) == found


def test_a_file_found_twice_is_reported_once():
    again = f"{ROOT}/steps/02_xsendfile/../02_xsendfile/blocking.ini"
    assert len(as_json(BLOCKING, again)["findings"]) == 1


@pytest.mark.parametrize("mark", ["; lint: ignore", "# lint: ignore"])
def test_a_comment_acknowledges_the_line_below_it(mark, tmp_path):
    write(tmp_path, app=f"{mark} public-backend the firewall admits only the front\nsocket = 10.0.0.2:1\nsocket = :2\n")
    assert rules(as_json("app.ini", cwd=tmp_path)) == {"public-backend": "app.ini:4"}
