"""The doctor on machines that lack something: each finding says how to get it, and nothing else depends on it."""

import resource

import pytest

from offload_lab import doctor, programs
from offload_lab.cli.doctor import conclusion
from offload_lab.errors import MissingDependencyError
from offload_lab.uwsgi import binary


def find_part(part):
    return next(row for row in doctor.examine() if row.name == part)


@pytest.fixture
def nothing_installed(monkeypatch, tmp_path):
    """A machine without any program, header or uWSGI; the Python that runs this stays."""

    def missing(name):
        raise MissingDependencyError("uWSGI", "everything here", binary.INSTALL)

    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(programs.sysconfig, "get_path", lambda _: str(tmp_path))
    monkeypatch.setattr(doctor.importlib.util, "find_spec", lambda _: None)
    monkeypatch.setattr(doctor.binary, "find", missing)


@pytest.mark.parametrize(
    ("part", "install"),
    [
        ("uWSGI (wheel)", "pip install pyuwsgi"),
        ("uWSGI (built)", "./lab engine"),
        ("Redis", programs.install("redis-server")),
        ("PostgreSQL", programs.install("postgresql")),
        ("Chromium", programs.install("chromium")),
        ("C compiler", programs.install("cc")),
        ("Python headers", programs.command_here(programs.PYTHON_HEADERS)),
        ("PCRE2 headers", programs.command_here(programs.PCRE2_HEADERS)),
        ("OpenSSL headers", programs.command_here(programs.OPENSSL_HEADERS)),
        ("JupyterLab", "./lab install notebook"),
        ("Playwright", "./lab install test"),
    ],
)
def test_a_missing_part_comes_with_the_command_that_installs_it(nothing_installed, part, install):
    row = find_part(part)
    assert (row.found, row.install) == (None, install)


def test_only_python_and_the_wheel_are_needed(nothing_installed):
    assert [row.name for row in doctor.examine() if row.needed] == ["Python", "uWSGI (wheel)"]


def test_every_part_says_what_it_is_for(nothing_installed):
    assert [row.name for row in doctor.examine() if not row.purpose] == []


def test_a_program_is_found_on_the_path(monkeypatch, tmp_path):
    program = tmp_path / "chromium-browser"
    program.touch(mode=0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert find_part("Chromium").found == str(program)


def test_the_wheel_is_described_by_what_it_can_do():
    assert "routing, no ssl, gevent, no uwsgi.route()" in find_part("uWSGI (wheel)").found


@pytest.mark.parametrize(
    ("missing", "sentence"),
    [
        ([], "Ready, and nothing is missing: begin with ./lab demo."),
        (["Redis"], "Ready, begin with ./lab demo; what needs an optional part is skipped without it: Redis."),
        (["Redis", "uWSGI (wheel)"], f"Nothing runs yet: uWSGI (wheel) is missing; install it with: {binary.INSTALL}"),
    ],
)
def test_the_conclusion_names_the_next_step(nothing_installed, missing, sentence):
    assert conclusion([find_part(name) for name in missing]) == sentence


@pytest.fixture
def soft_limit():
    """Set the soft limit of descriptors, in this process, until the test ends."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    yield lambda soft: resource.setrlimit(resource.RLIMIT_NOFILE, (soft, before[1]))
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


def test_a_low_descriptor_limit_comes_with_the_line_that_raises_it(soft_limit):
    soft_limit(512)
    row = find_part("descriptor limit")
    assert row.found is None
    assert row.install.startswith("ulimit -n ")
    assert row.install.endswith("# now 512")


def test_a_high_descriptor_limit_is_shown(monkeypatch):
    monkeypatch.setattr(resource, "getrlimit", lambda _: (doctor.DESCRIPTORS_WANTED, 20_000))
    assert find_part("descriptor limit").found == f"{doctor.DESCRIPTORS_WANTED} (at most 20000)"


def test_the_line_that_raises_the_limit_stays_below_the_hard_limit(monkeypatch):
    monkeypatch.setattr(resource, "getrlimit", lambda _: (1024, 20_000))
    assert find_part("descriptor limit").install.startswith("ulimit -n 20000 ")
