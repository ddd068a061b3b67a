"""The linter's command as people and programs run it: output, exit statuses, option names, an installation alone."""

import json
import os
import re
import shutil
import subprocess
import sys
import venv
from importlib.util import find_spec
from pathlib import Path

import pytest

from offload_lab.lint import RULES
from offload_lab.paths import ROOT
from offload_lab.timeouts import scaled
from offload_lab.uwsgi import binary
from offload_lab.uwsgi.config.options import known, nearest

BLOCKING = "steps/02_xsendfile/blocking.ini"
PAGE = "docs/lint.md#proxied-by-worker"


def run(*arguments, cwd=ROOT, program=(sys.executable, "-m", "offload_lab", "lint"), **environ):
    return subprocess.run(
        [*program, *map(str, arguments)],
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(ROOT), **environ},
        capture_output=True,
        text=True,
        timeout=scaled(60),
    )


def as_json(*arguments, cwd=ROOT, **environ):
    return json.loads(run("--json", *arguments, cwd=cwd, **environ).stdout)


def rules(document):
    return {one["rule"]: f"{one['file']}:{one['line']}" for one in document["findings"]}


def write(folder, **files):
    for name, text in files.items():
        (folder / f"{name}.ini").write_text(f"[uwsgi]\n{text}")


# --- what is shown


def test_findings_are_readable_in_80_columns_and_without_colour():
    answer = run("steps/03_sse_offload/content_type.ini", BLOCKING, COLUMNS="80")
    assert (answer.returncode, answer.stderr) == (1, "")
    assert "\x1b" not in answer.stdout
    assert max(map(len, answer.stdout.splitlines())) <= 80
    shown = answer.stdout[answer.stdout.index(BLOCKING) :].splitlines()
    assert shown[0].endswith("  warning  proxied-by-worker")
    assert shown[1] == "    response-route-if-not = empty:${X_SENDFILE} static-next:${X_SENDFILE}"
    assert shown[2].strip() == "^" * len("static-next:")
    assert shown[1][shown[2].index("^") :].startswith("static-next:$")
    for part in ("  cure:   offload-threads = 2", f"  see:    {PAGE}"):
        assert part in shown
    assert answer.stdout.endswith("0 errors, 1 warning, 1 note in 2 files\n")


def test_the_caret_stands_below_a_value_that_was_expanded(tmp_path):
    write(tmp_path, app="host = 0.0.0.0\nsocket = %(host):3031\n")
    shown = run("app.ini", cwd=tmp_path).stdout.splitlines()
    assert shown[1:3] == ["    socket = %(host):3031", "             ^^^^^^^^^^^^"]


def test_colour_is_used_where_it_is_wanted():
    assert "\x1b[33mwarning" in run(BLOCKING, FORCE_COLOR="1", TERM="xterm").stdout


def test_general_advice_is_one_line_and_no_finding(tmp_path):
    write(tmp_path, app="base = /srv\nhttp-socket = 127.0.0.1:80\nmodule = app\nmaster = true\nchdir = %(base)\n")
    answer = run("app.ini", cwd=tmp_path)
    assert answer.returncode == 0
    shown = " ".join(answer.stdout.removeprefix("  general: ").partition("\n0 errors")[0].split())
    advice = "no-die-on-term; no-need-app; no-offload-threads; no-strict; with own names: "
    assert shown == f"{advice}set-placeholder = base=/srv; then strict = true"


@pytest.mark.parametrize(
    ("text", "status"),
    [("vacuum = true\n", 0), ("touch-reload = /srv\n", 0), ("vaccum = true\n", 1), ("gevent = 9\nthreads = 2\n", 1)],
)
def test_notes_are_status_0_and_warnings_1(text, status, tmp_path):
    write(tmp_path, app=text)
    assert run("app.ini", cwd=tmp_path).returncode == status


def test_json_has_the_line_itself():
    document = as_json(BLOCKING, "nowhere.ini")
    assert document["files"] == [BLOCKING, "nowhere.ini"]
    [finding] = document["findings"]
    line = Path(BLOCKING).read_text().splitlines()[finding["line"] - 1]
    assert finding["source"] == line
    assert line[finding["column"] - 1 : finding["end_column"] - 1] == "static-next:"
    assert (finding["rule"], finding["level"], finding["page"]) == ("proxied-by-worker", "warning", PAGE)
    assert document["unusable"] == [{"file": "nowhere.ini", "why": "cannot be read: No such file or directory"}]


def test_sarif_has_what_code_scanning_reads():
    answer = run("--sarif", BLOCKING, "nowhere.ini")
    assert answer.returncode == 2
    document = json.loads(answer.stdout)
    [log] = document["runs"]
    assert (document["version"], log["tool"]["driver"]["name"]) == ("2.1.0", "offload-lint")
    result = next(result for result in log["results"] if result["level"] == "warning")
    assert log["tool"]["driver"]["rules"][result["ruleIndex"]]["id"] == result["ruleId"] == "proxied-by-worker"
    place = result["locations"][0]["physicalLocation"]
    assert place["artifactLocation"]["uri"] == BLOCKING
    assert place["region"]["startLine"] > 1
    assert {result["level"] for result in log["results"]} <= {"error", "warning", "note"}
    assert not log["invocations"][0]["executionSuccessful"]


def test_sarif_has_the_fields_and_forms_that_its_schema_requires(tmp_path):
    """Written after sarif-schema-2.1.0.json, for odd names and lines too."""
    folder = tmp_path / "größe x"
    folder.mkdir()
    text = "[uwsgi]\nmodule = app ; 🐍 note\nsocket = 0.0.0.0:1\ngevent = 5\nthreads = 2\nprocess = 4\n"
    (folder / "a b.ini").write_text(text)
    answer = run("--sarif", "größe x/a b.ini", "nowhere.ini", cwd=tmp_path, UWSGI_STATS="0.0.0.0:1")
    document = json.loads(answer.stdout)
    assert set(document) == {"$schema", "version", "runs"}
    [log] = document["runs"]
    assert set(log) == {"tool", "columnKind", "results", "invocations"}
    assert log["columnKind"] == "unicodeCodePoints"
    rules = log["tool"]["driver"]["rules"]
    assert len({rule["id"] for rule in rules}) == len(rules)
    assert len(log["results"]) > 4
    for row in [*rules, *log["results"]]:
        [texts] = [row[name]["text"] for name in ("message", "shortDescription") if name in row]
        assert texts
    for result in log["results"]:
        assert rules[result["ruleIndex"]]["id"] == result["ruleId"]
        assert result["level"] in ("none", "note", "warning", "error")
        related = [json.dumps(place) for place in result["relatedLocations"]]
        assert len(set(related)) == len(related), "unique items"
        for place in [*result["locations"], *result["relatedLocations"]]:
            physical = place["physicalLocation"]
            assert physical["artifactLocation"]["uri"] in ("gr%C3%B6%C3%9Fe%20x/a%20b.ini", "environment")
            region = physical.get("region", {"startLine": 1, "startColumn": 1, "endColumn": 1})
            assert region["startLine"] >= 1
            assert 1 <= region["startColumn"] <= region["endColumn"]
    [notice] = log["invocations"][0]["toolExecutionNotifications"]
    assert (notice["level"], bool(notice["message"]["text"])) == ("error", True)


def test_a_finding_in_an_included_file_shows_that_file(tmp_path):
    write(tmp_path, app="\n\n\nini = base.ini\n", base="; first\nexec-pre = /bin/x\nmodule = app\n")
    [finding] = as_json("app.ini", cwd=tmp_path)["findings"]
    assert (finding["file"], finding["line"], finding["source"]) == ("base.ini", 3, "exec-pre = /bin/x")


def test_the_rules_are_listed():
    answer = run("--rules")
    assert answer.returncode == 0
    for rule in RULES:
        assert rule.id in answer.stdout


def test_no_file_is_a_usage_error():
    answer = run()
    assert answer.returncode == 2
    assert "name at least one file" in answer.stderr


# --- the names of options


@pytest.mark.parametrize("which", ["wheel", "built"])
def test_every_option_of_the_installed_uwsgi_is_known(which):
    listed = binary.ask(binary.find(which).command, "--help")
    names = set(re_options(listed))
    assert len(names) > 900
    assert names - of_our_patches() <= set(known().kinds)


def of_our_patches():
    """The options that only the patched uWSGI has. Lint does not know them, since on any other they are mistakes."""
    patches = "".join(path.read_text() for path in (ROOT / "uwsgi_build" / "patches").iterdir())
    added = set(re.findall(r'^\+\s*\{"([a-z0-9-]+)", (?:required|no|optional)_argument', patches, re.MULTILINE))
    assert added
    return added


def re_options(text):
    return re.findall(r"^\s+(?:-\S\|)?--(\S+)", text, re.MULTILINE)


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("exec-pre", "exec-pre-app"),
        ("offload_threads", "offload-threads"),
        ("offload-treads", "offload-threads"),
        ("vaccum", "vacuum"),
        ("gevent-monkey-patching", "gevent-monkey-patch"),
        ("log-buffering", None),
        ("project", None),
    ],
)
def test_the_nearest_name_is_found(name, meant):
    assert nearest(name, known().likely) == meant


# --- alone


@pytest.mark.full
def test_it_installs_alone(tmp_path):
    """Without this repository's dependencies, small."""
    source = tmp_path / "source"  # a copy: building leaves its folders in the source
    shutil.copytree(ROOT / "offload_lab", source / "offload_lab")
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    venv.create(tmp_path / "own", with_pip=True)
    python = tmp_path / "own" / "bin" / "python"
    before = size(tmp_path / "own")
    subprocess.run(
        [python, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--no-build-isolation", source],
        check=True,
        timeout=scaled(120),
        env={**os.environ, "PYTHONPATH": setuptools_folder()},
    )
    assert size(tmp_path / "own") - before < 5 * 2**20
    answer = run("--json", ROOT / BLOCKING, program=(python.with_name("offload-lint"),), PYTHONPATH="")
    assert (answer.returncode, answer.stderr) == (1, "")
    assert [finding["rule"] for finding in json.loads(answer.stdout)["findings"]] == ["proxied-by-worker"]


def size(folder):
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def setuptools_folder():
    """Found, not imported: setuptools replaces distutils for the whole process."""
    return str(Path(find_spec("setuptools").origin).parent.parent)
