"""The front door, ./lab: in a copy of the repository whose lock file is empty, so that nothing is downloaded."""

import os
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from offload_lab.engine import ROOT
from offload_lab.timeouts import scaled

TOOLS = ("sh", "env", "dirname", "readlink", "cat", "cksum", "rm", "ln", "sleep")  # all that ./lab needs besides Python


@pytest.fixture
def repo(tmp_path):
    """A repository whose command line prints its words."""
    root = tmp_path / "a repo"
    (root / "requirements").mkdir(parents=True)
    (root / "offload_lab").mkdir()
    shutil.copy(ROOT / "lab", root)
    for lock in ("base", "notebooks", "dev", "book", "bench"):
        (root / "requirements" / f"{lock}.lock").touch()
    (root / "offload_lab" / "__main__.py").write_text("import sys; print('ran', *sys.argv[1:])\n")
    return root


@pytest.fixture
def path(tmp_path):
    """A folder with nothing but the tools and this Python, to put other things in; the only one on the path."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for tool in TOOLS:
        (folder / tool).symlink_to(shutil.which(tool))
    base = Path(sys.base_prefix) / "bin" / f"python{sys.version_info.major}.{sys.version_info.minor}"
    (folder / "python3").symlink_to(base)
    return folder


def lab(command, path, *words, cwd=None, **variables):
    env = {"PATH": str(path), "HOME": os.environ.get("HOME", "/"), **variables}
    answer = subprocess.run([command, *words], cwd=cwd, env=env, capture_output=True, text=True, timeout=scaled(100))
    print(answer.stderr)  # shown where a test fails
    return answer


def test_two_at_once_install_one_after_the_other(repo, path):
    """The second would else find the first one's half-made .venv and begin anew under it."""
    with ThreadPoolExecutor(2) as both:
        answers = list(both.map(lambda word: lab(repo / "lab", path, word), ["demo", "list"]))
    assert [answer.stdout for answer in answers] == ["ran demo\n", "ran list\n"]
    assert sum(answer.stderr.count("making .venv") for answer in answers) == 1
    assert not (repo / ".lab-turn").is_symlink()


def test_one_that_was_killed_holds_nobody_up(repo, path):
    with subprocess.Popen([sys.executable, "-c", ""]) as dead:
        pass
    (repo / ".lab-turn").symlink_to(str(dead.pid))
    assert lab(repo / "lab", path, "demo").stdout == "ran demo\n"


def script(path, name, text):
    (path / name).unlink(missing_ok=True)
    (path / name).write_text(f"#!/bin/sh\n{text}\n")
    (path / name).chmod(0o755)


def test_it_installs_once_and_runs_from_anywhere(repo, path, tmp_path):
    first = lab(repo / "lab", path, "demo", "01", cwd=tmp_path)
    assert (first.returncode, first.stdout) == (0, "ran demo 01\n")
    assert "requirements/base.lock" in first.stderr
    (tmp_path / "link").symlink_to("hop")
    (tmp_path / "hop").symlink_to(repo / "lab")
    again = lab(tmp_path / "link", path, "list", cwd="/")
    assert (again.returncode, again.stdout, again.stderr) == (0, "ran list\n", "")


def test_each_command_installs_only_what_it_needs_and_again_when_that_changes(repo, path):
    assert "base.lock" in lab(repo / "lab", path, "demo").stderr
    assert "dev.lock" in lab(repo / "lab", path, "test").stderr
    assert lab(repo / "lab", path, "demo").stderr == ""
    (repo / "requirements" / "base.lock").write_text("# changed\n")
    assert "base.lock" in lab(repo / "lab", path, "demo").stderr


def test_a_moved_or_half_made_environment_is_made_anew(repo, path, tmp_path):
    (repo / ".venv" / "bin").mkdir(parents=True)
    assert "making .venv" in lab(repo / "lab", path, "list").stderr
    (repo / ".venv" / ".lab-installing").touch()  # as after a power cut in the middle of an installation
    assert "making .venv" in lab(repo / "lab", path, "list").stderr
    moved = repo.rename(tmp_path / "elsewhere")
    answer = lab(moved / "lab", path, "list")
    assert "making .venv" in answer.stderr
    assert answer.stdout == "ran list\n"


def test_no_python_is_named(repo, path):
    (path / "python3").unlink()
    answer = lab(repo / "lab", path, "demo")
    assert answer.returncode == 1
    assert "needs Python 3.11 or later, found: none" in answer.stderr.replace("\n", " ") or "not found" in answer.stderr
    assert "apt-get install" in answer.stderr


def test_an_old_python_is_named(repo, path):
    script(path, "python3", 'if [ "$1" = --version ]; then echo Python 3.9.18; else exit 1; fi')
    answer = lab(repo / "lab", path, "demo")
    assert answer.returncode == 1
    assert "needs Python 3.11 or later, found: Python 3.9.18" in answer.stderr


def test_a_python_without_venv_is_named_with_the_package(repo, path):
    script(path, "python3", f'case $2 in *ensurepip*) exit 1 ;; *) exec {sys.executable} "$@" ;; esac')
    answer = lab(repo / "lab", path, "demo")
    assert answer.returncode == 1
    assert f"apt-get install python3.{sys.version_info.minor}-venv" in answer.stderr


def test_without_a_network_it_says_so_and_the_next_try_works(repo, path):
    lock = repo / "requirements" / "base.lock"
    lock.write_text(f"click==8.2.1 --hash=sha256:{'0' * 64}\n")
    nowhere = {"PIP_NO_INDEX": "1", "PIP_CONFIG_FILE": os.devnull, "PIP_FIND_LINKS": str(repo)}
    answer = lab(repo / "lab", path, "demo", **nowhere)
    assert answer.returncode == 1
    assert "could not install base.lock" in answer.stderr
    assert "network" in answer.stderr
    lock.write_text("")
    assert lab(repo / "lab", path, "demo").stdout == "ran demo\n"


def test_uv_is_used_where_the_person_has_it(repo, path):
    script(path, "uv", f'echo "uv $*" >&2; [ "$1" = pip ] || exec {sys.executable} -m venv --without-pip "$6"')
    answer = lab(repo / "lab", path, "demo")
    assert answer.stdout == "ran demo\n"
    assert "uv venv" in answer.stderr
    assert "--require-hashes" in answer.stderr


@pytest.mark.parametrize("lock", ["base", "notebooks", "dev", "book", "bench"])
def test_the_lock_files_pin_by_hash_and_name_no_index(lock):
    text = (ROOT / "requirements" / f"{lock}.lock").read_text()
    pins = [line for line in text.splitlines() if line and not line.startswith(" ")]
    assert all("==" in pin for pin in pins)
    assert text.count("--hash=sha256:") >= len(pins)
    assert "://" not in text
    assert "--index" not in text
