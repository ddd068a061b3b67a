"""What stops a first-time user: a narrow terminal, another locale, a path with spaces. See
docs/first-time.md; tests/integration/test_bootstrap.py has the rest of the first minute."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from contextlib import ExitStack
from itertools import takewhile

import pytest

from offload_lab import programs
from offload_lab.clients import ping
from offload_lab.measure.model import Recording
from offload_lab.paths import ROOT
from offload_lab.process.server_process import free_port
from offload_lab.timeouts import scaled

LAB = [sys.executable, "-m", "offload_lab"]
BARE = {"PATH": "/usr/bin:/bin", "LC_ALL": "C", "NO_COLOR": "1", "TERM": "dumb", "COLUMNS": "60"}
FRONT = "steps/03_sse_offload/blocking.ini"
BROKEN = "steps/07_pitfalls/headers_twice_broken.ini"


def bare(home, *arguments, **variables):
    """The command line as in a new user's plain terminal of 60 columns."""
    env = {**BARE, "HOME": str(home), **variables}
    return subprocess.run([*LAB, *arguments], cwd=ROOT, env=env, capture_output=True, timeout=scaled(100))


@pytest.mark.parametrize(
    ("arguments", "status"),
    [
        (["--help"], 0),
        (["run", "--help"], 0),
        (["list"], 0),
        (["doctor"], 0),
        (["lint", "--rules"], 0),
        (["lint", FRONT, BROKEN], 1),
        (["explain", "03", "header", "--run", "requirements"], 1),  # where nothing runs, whatever else does
        (["run", "01", "ofload"], 2),
        (["dmeo"], 2),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_in_a_plain_narrow_terminal_everything_can_be_read(tmp_path, arguments, status):
    answer = bare(tmp_path, *arguments)
    text = (answer.stdout + answer.stderr).decode()
    assert answer.returncode == status, text
    assert "\x1b" not in text
    assert "Traceback" not in text
    assert not re.search(r"\w(\.\.\.|…)", text), "something was cut off"
    places = [line for line in text.splitlines() if line.startswith(("steps/", str(ROOT)))]  # a path stays in one piece
    assert [line for line in text.splitlines() if len(line.rstrip()) > 60 and line not in places] == []


def test_the_help_begins_with_what_to_do_first(tmp_path):
    text = bare(tmp_path, "--help").stdout.decode()
    assert "Begin with ./lab demo." in text
    assert re.search(r"^Start:\n  demo  ", text, re.MULTILINE)


def test_a_narrow_demo_keeps_every_number_whole(capsys):
    from rich.console import Console

    from offload_lab.measure.report import table

    recordings = [Recording.load(path) for path in sorted((ROOT / "docs" / "recordings").glob("0*.json"))]
    Console(width=60).print(table(recordings, narrow=True))
    text = capsys.readouterr().out
    assert "…" not in text
    assert re.search(r"01 file_wrapper +0 of 30 +[\d,]+\.\d +\d+ +0", text)


def test_a_terminal_without_arrows_shows_the_rest(tmp_path):
    answer = bare(tmp_path, "doctor", PYTHONIOENCODING="ascii", PATH=str(tmp_path))  # where much is missing
    assert answer.returncode == 0, answer.stderr
    assert re.search(rb"Pushpin +\./lab bench +\? (apt-get|brew)", answer.stdout)


@pytest.fixture
def elsewhere(tmp_path):
    """A copy of the repository at a path with spaces and an umlaut."""
    copy = tmp_path / "Müllers Ordner" / "offload lab"
    made = shutil.ignore_patterns(".*", "__pycache__", "results", "work", "dist", "notebooks")
    shutil.copytree(ROOT, copy, ignore=made)
    return copy


@pytest.mark.full
def test_commands_run_at_a_path_beyond_ascii_in_a_c_locale(elsewhere, tmp_path):
    """Python reads the .pth file that leads to offload_lab in the locale's encoding, before 3.13 at least."""
    (elsewhere / "requirements" / "base.lock").write_text("")
    (elsewhere / "offload_lab" / "__main__.py").write_text("import sys; print('ran', *sys.argv[1:])\n")
    uv = tmp_path / "uv"  # quicker than ensurepip, and there is nothing to install
    uv.write_text(f'#!/bin/sh\n[ "$1" = pip ] || exec "{sys.executable}" -m venv --without-pip "$6"\n')
    uv.chmod(0o755)
    env = {"PATH": f"{tmp_path}:{os.environ['PATH']}", "HOME": str(elsewhere), "LC_ALL": "C"}
    for output in ("making .venv", ""):
        answer = subprocess.run(
            [elsewhere / "lab", "list"], env=env, capture_output=True, text=True, timeout=scaled(100)
        )
        assert (answer.returncode, answer.stdout) == (0, "ran list\n"), answer.stderr
        assert output in answer.stderr
    assert answer.stderr == "", "the second time nothing is made again"


@pytest.mark.full
def test_stages_run_at_a_path_with_spaces(elsewhere):
    """One of each kind: those of steps 06 and 07 start scripts of their own, by a shell."""
    for name in ("redis-server", "postgresql"):
        programs.require(name)
    env = {**BARE, "LAB_TIMEOUT_FACTOR": "load", "PATH": os.environ["PATH"], "HOME": str(elsewhere)}
    with ExitStack() as stack:
        running = []
        for stage in (["01", "offload"], ["06", "redis"], ["07", "orm_in_gevent_fixed"]):
            port, pipe = free_port(), {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
            command = [*LAB, "run", *stage, "--port", str(port)]
            lab = stack.enter_context(subprocess.Popen(command, cwd=elsewhere, env=env, **pipe))
            stack.callback(lab.kill)
            running.append((lab, port))
        for lab, port in running:
            output = list(takewhile(lambda line: line != "Ctrl-C ends it.\n", lab.stdout))
            assert ping(port, timeout_s=20).status == 200, output
            lab.send_signal(signal.SIGINT)
            lab.communicate(timeout=scaled(60))
            assert lab.returncode == 130


def test_by_hand_a_run_folder_with_a_space_is_named(tmp_path, monkeypatch):
    from offload_lab.stages.site import run_folder

    monkeypatch.setattr(sys, "argv", ["uwsgi", *f"run={tmp_path}/my folder/.run mib=64".split()])
    with pytest.raises(RuntimeError, match=r"my: uWSGI cuts pyargv at spaces.*--set-placeholder run="):
        run_folder()


# --- machines made by others: a container, Binder


def packages(text):
    """The names of Debian packages in a text, one or more a line, without comments and shell."""
    text = re.sub(r"^#.*$", "", text, flags=re.MULTILINE)
    return set(re.findall(r"(?<!\S)[a-z][a-z0-9.+-]*(?!\S)", text))


NOT_FOR_NOTEBOOKS = {
    "chromium",
    "nginx",
    "libnginx-mod-nchan",
    "pushpin",
    "curl",
    "openssl",
    "nodejs",
    "npm",
}  # Binder's Ubuntu has not all of them


def installed(path):
    """What follows `apt-get install` there."""
    [list_] = re.findall(r"apt-get install [^\n]*\\\n((?:.*\\\n)*.*)", path.read_text())
    return packages(re.split(r">|&&", list_.replace("\\\n", " "))[0])


def test_the_container_and_binder_have_the_packages_of_ci():
    ci = ROOT / ".ci" / "run"
    assert "install -y -qq --no-install-recommends nodejs npm " in ci.read_text()  # where there is no npm yet
    wanted = installed(ci) | {"nodejs", "npm"}
    assert {"gcc", "redis-server", "chromium"} <= wanted
    assert installed(ROOT / ".devcontainer" / "Dockerfile") == wanted
    assert packages((ROOT / "binder" / "apt.txt").read_text()) == wanted - NOT_FOR_NOTEBOOKS


@pytest.mark.full
def test_the_container_has_a_tag_and_runs_existing_commands(tmp_path):
    container = json.loads((ROOT / ".devcontainer" / "devcontainer.json").read_text())
    dockerfile = ROOT / ".devcontainer" / container["build"]["dockerfile"]
    assert re.search(r"^FROM \S+:(?!latest)\S+$", dockerfile.read_text(), re.MULTILINE)
    for command in re.findall(r"\./lab (\w+)", container["postCreateCommand"]):
        assert bare(tmp_path, command, "--help").returncode == 0


def test_binder_prepares_with_a_python_and_a_script_that_can_run():
    assert re.fullmatch(r"python-3\.1[1-9]\n", (ROOT / "binder" / "runtime.txt").read_text())
    script = ROOT / "binder" / "postBuild"
    assert os.access(script, os.X_OK)
    assert subprocess.run(["sh", "-n", script], timeout=scaled(20)).returncode == 0
