"""The front door, ./lab: in a copy of the repository whose lock file is empty, so that nothing is downloaded."""

import os
import re
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from packaging.markers import Marker

from offload_lab.paths import ROOT
from offload_lab.system import is_linux
from offload_lab.timeouts import scaled

TOOLS = (
    "sh",
    "env",
    "dirname",
    "readlink",
    "cat",
    "cksum",
    "rm",
    "ln",
    "sleep",
    "date",
)  # all that ./lab needs besides Python


LOCKS = ("base", "demo", "check", "postgresql", "notebooks", "dev", "book", "bench")
# as offload_lab/cli/needs.py does it
COMMANDS = """
import os, sys
if sys.argv[1] == "test" and "dev" not in os.environ["LAB_LOCKS"].split():
    lab = os.path.join(os.path.dirname(__file__), "..", "lab")
    os.execve(lab, [lab, *sys.argv[1:]], {**os.environ, "LAB_LOCKS": "base dev"})
print("ran", *sys.argv[1:])
"""


@pytest.fixture
def repo(tmp_path):
    """A repository whose command line prints its arguments, `test` once dev.lock is installed."""
    root = tmp_path / "a repo"
    (root / "requirements").mkdir(parents=True)
    (root / "offload_lab").mkdir()
    shutil.copy(ROOT / "lab", root)
    for lock in LOCKS:
        (root / "requirements" / f"{lock}.lock").touch()
    (root / "offload_lab" / "__main__.py").write_text(COMMANDS)
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


@pytest.fixture
def quick(path):
    """The same with an installer that makes an environment in a second, and installs nothing."""
    script(path, "uv", f'[ "$1" = pip ] || exec "{sys.executable}" -m venv --without-pip "$6"')
    return path


def lab(command, path, *arguments, cwd=None, **variables):
    env = {"PATH": str(path), "HOME": os.environ.get("HOME", "/"), **variables}
    answer = subprocess.run(
        [command, *arguments], cwd=cwd, env=env, capture_output=True, text=True, timeout=scaled(100)
    )
    print(answer.stderr)  # shown where a test fails
    return answer


def test_two_installations_wait_for_each_other(repo, quick):
    """The second would else find the first one's half-made .venv and begin anew under it."""
    with ThreadPoolExecutor(2) as both:
        answers = list(both.map(lambda word: lab(repo / "lab", quick, word), ["demo", "list"]))
    assert [answer.stdout for answer in answers] == ["ran demo\n", "ran list\n"]
    assert sum(answer.stderr.count("making .venv") for answer in answers) == 1
    assert not (repo / ".lab-turn").is_symlink()


def test_a_killed_installation_blocks_no_other(repo, quick):
    with subprocess.Popen([sys.executable, "-c", ""]) as dead:
        pass
    (repo / ".lab-turn").symlink_to(str(dead.pid))
    assert lab(repo / "lab", quick, "demo").stdout == "ran demo\n"


def script(path, name, text):
    (path / name).unlink(missing_ok=True)
    (path / name).write_text(f"#!/bin/sh\n{text}\n")
    (path / name).chmod(0o755)


@pytest.mark.full
def test_it_installs_once_and_runs_from_anywhere(repo, path, tmp_path):
    first = lab(repo / "lab", path, "demo", "01", cwd=tmp_path)
    assert (first.returncode, first.stdout) == (0, "ran demo 01\n")
    assert re.search(r"requirements/base\.lock pins: \d+ packages, \d+ MB", first.stderr)
    assert re.search(r"base\.lock is installed, in \d+ s\n", first.stderr)
    (tmp_path / "link").symlink_to("hop")
    (tmp_path / "hop").symlink_to(repo / "lab")
    again = lab(tmp_path / "link", path, "list", cwd="/")
    assert (again.returncode, again.stdout, again.stderr) == (0, "ran list\n", "")


def test_a_command_installs_what_it_needs_and_again_when_that_changes(repo, quick):
    assert "dev.lock" not in lab(repo / "lab", quick, "demo").stderr
    asked = lab(repo / "lab", quick, "test")
    assert "dev.lock" in asked.stderr
    assert asked.stdout == "ran test\n"
    assert lab(repo / "lab", quick, "test").stderr == ""
    assert lab(repo / "lab", quick, "demo").stderr == ""
    (repo / "requirements" / "base.lock").write_text("# changed\n")
    assert "base.lock" in lab(repo / "lab", quick, "demo").stderr


def test_a_moved_or_incomplete_environment_is_made_again(repo, quick, tmp_path):
    (repo / ".venv" / "bin").mkdir(parents=True)
    assert "making .venv" in lab(repo / "lab", quick, "list").stderr
    (repo / ".venv" / ".lab-installing").touch()  # as after a power cut in the middle of an installation
    assert "making .venv" in lab(repo / "lab", quick, "list").stderr
    moved = repo.rename(tmp_path / "elsewhere")
    answer = lab(moved / "lab", quick, "list")
    assert "making .venv" in answer.stderr
    assert answer.stdout == "ran list\n"


def test_a_missing_python_is_named(repo, path):
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
    script(path, "python3", f'case $2 in *ensurepip*) exit 1 ;; *) exec "{sys.executable}" "$@" ;; esac')
    answer = lab(repo / "lab", path, "demo")
    assert answer.returncode == 1
    assert f"apt-get install python3.{sys.version_info.minor}-venv" in answer.stderr


@pytest.mark.full
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
    script(path, "uv", f'echo "uv $*" >&2; [ "$1" = pip ] || exec "{sys.executable}" -m venv --without-pip "$6"')
    answer = lab(repo / "lab", path, "demo")
    assert answer.stdout == "ran demo\n"
    assert "uv venv" in answer.stderr
    assert "--require-hashes" in answer.stderr


@pytest.mark.parametrize("lock", LOCKS)
def test_the_lock_files_pin_by_hash_and_name_no_index(lock):
    text = (ROOT / "requirements" / f"{lock}.lock").read_text()
    pins = [line for line in text.splitlines() if line and not line.startswith(" ")]
    assert all("==" in pin for pin in pins)
    assert text.count("--hash=sha256:") >= len(pins)
    assert "://" not in text
    assert "--index" not in text


def pins(lock):
    """The packages that `lock` pins for this Python and this system."""
    found = re.findall(
        r"^(\S+)==\S+(?: ; (.*?))? \\$", (ROOT / "requirements" / f"{lock}.lock").read_text(), re.MULTILINE
    )
    return {name for name, marker in found if not marker or Marker(marker).evaluate()}


@pytest.mark.parametrize("lock", LOCKS)
def test_lab_announces_about_as_many_packages_as_it_installs(lock):
    [announced] = re.findall(
        rf"^ +{lock}\) echo '(\d+) (?:more )?packages, \d+ MB'", (ROOT / "lab").read_text(), re.MULTILINE
    )
    number = len(pins(lock) - (pins("base") if lock != "base" else set()))
    assert int(announced) == pytest.approx(number, rel=0.2, abs=2)


def test_what_only_some_commands_need_is_not_in_base():
    assert not pins("base") & {"matplotlib", "pytest", "psycopg", "psycopg2-binary", "jupyterlab"}


@pytest.fixture
def asked(tmp_path):
    """Runs a command in a copy where base is installed, and whose ./lab says what it is asked to install."""
    shutil.copytree(ROOT / "offload_lab", tmp_path / "offload_lab", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("steps", "notebooks", "bench", "uwsgi_build", "pyproject.toml"):
        (tmp_path / name).symlink_to(ROOT / name)
    (tmp_path / "work" / "01_file_wrapper").mkdir(parents=True)
    script(tmp_path, "lab", 'echo "$LAB_LOCKS: $*"')
    env = {**os.environ, "PYTHONPATH": str(tmp_path), "LAB_LOCKS": "base"}
    env.pop("LAB_WORK", None)

    def run(*arguments):
        command = [sys.executable, "-P", "-m", "offload_lab", *arguments]
        return subprocess.run(command, env=env, cwd=tmp_path, capture_output=True, text=True, timeout=100)

    return run


@pytest.mark.parametrize(
    "arguments",
    [
        ("notebook", "42"),
        ("slides", "42"),
        ("bench", "no_such_server"),
        ("demo", "42"),
        ("check", "42"),
        ("check", "01", "no-such-task"),
        ("install", "nonsense"),
    ],
    ids=" ".join,
)
def test_a_wrong_argument_is_named_before_anything_is_installed(asked, arguments):
    answer = asked(*arguments)
    assert (answer.returncode, answer.stdout) == (2, "")
    assert f"'{arguments[-1]}'" in answer.stderr


@pytest.mark.parametrize(
    ("arguments", "locks"),
    [
        ("notebook 03", "base notebooks"),
        ("demo 01", "base demo"),
        ("check 01", "base check"),
        ("test tests/docs/test_docs.py", "base dev"),
        ("slides 00", "base book"),
        pytest.param("bench --quick", "base bench", marks=pytest.mark.skipif(not is_linux(), reason="Linux only")),
        ("install notebook test", "base notebooks dev"),
    ],
)
def test_a_right_argument_installs_the_packages_that_it_needs(asked, arguments, locks):
    assert asked(*arguments.split()).stdout == f"{locks}: {arguments}\n"


@pytest.mark.parametrize("command", ["list", "doctor", "lint --rules", "notebook --help"])
def test_most_commands_need_base_only(asked, command):
    answer = asked(*command.split())
    assert answer.returncode == 0
    assert "base " not in answer.stdout
