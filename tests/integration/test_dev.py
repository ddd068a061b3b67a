"""./lab dev: what proves the course is run, and a new pitfall is complete but for its text."""

import os
import shutil
import subprocess
import sys

import pytest
from click.testing import CliRunner

from offload_lab.cli.dev import CHECKS, PROOFS, Check, arguments, dev, run
from offload_lab.lint.targets import examine
from offload_lab.paths import ROOT
from offload_lab.stages import manifest
from offload_lab.timeouts import scaled


def python(*args, **environ):
    return subprocess.run(
        [sys.executable, "-m", *args],
        cwd=ROOT, env={**os.environ, **environ}, capture_output=True, text=True, timeout=scaled(100),
    )  # fmt: skip


# --- check


@pytest.mark.full
def test_a_check_that_passes_is_one_line(tmp_path, capsys):
    (tmp_path / "test_it.py").write_text(
        "def test_that_holds():\n    pass\n\ndef test_that_fails():\n    assert False\n"
    )
    assert run(Check("links", "each leads somewhere", (str(tmp_path),), "holds"), full=False)
    assert capsys.readouterr().out.startswith("ok     links      each leads somewhere (")


@pytest.mark.full
def test_a_check_that_fails_shows_what_pytest_says(tmp_path, capsys):
    (tmp_path / "test_it.py").write_text("def test_that_fails():\n    assert 1 == 2\n")
    assert not run(Check("links", "each leads somewhere", (str(tmp_path),)), full=False)
    line, *rest = capsys.readouterr().out.splitlines()
    assert line.startswith("failed links ")
    assert "assert 1 == 2" in "\n".join(rest)


@pytest.mark.full
def test_a_check_without_any_test_fails(tmp_path):
    assert not run(Check("links", "each leads somewhere", (str(tmp_path),)), full=False)


@pytest.mark.full
def test_dev_check_has_one_line_for_each_subject_and_a_status(tmp_path, monkeypatch):
    (tmp_path / "test_it.py").write_text("def test_holds():\n    pass\n\ndef test_fails():\n    assert False\n")
    checks = [Check(name, "it holds", (str(tmp_path),), name) for name in ("holds", "fails")]
    monkeypatch.setattr("offload_lab.cli.dev.CHECKS", checks)
    answer = CliRunner().invoke(dev, ["check"])
    lines = [line for line in answer.output.splitlines() if line.startswith(("ok ", "failed "))]
    assert [line.split()[:2] for line in lines] == [["ok", "holds"], ["failed", "fails"]]
    assert answer.exit_code == 1


@pytest.mark.full
@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.subject)
def test_each_check_chooses_quick_tests(check):
    """They run in this suite anyway, so here they are only collected."""
    answer = python("pytest", "--collect-only", "-q", *arguments(check, full=False))
    assert answer.returncode == 0, answer.stdout
    chosen = {line.partition("::")[2].partition("[")[0] for line in answer.stdout.splitlines() if "::" in line}
    if check.tests == PROOFS:
        wanted = {"tasks": "task", "blanks": "blank_fails", "hints": "last_hint_passes"}[check.subject]
        assert all(wanted in name for name in chosen)


# --- new-pitfall


@pytest.fixture
def steps(tmp_path):
    """A copy of the steps, in a repository of its own."""
    (tmp_path / "offload_lab").symlink_to(ROOT / "offload_lab")
    ignored = shutil.ignore_patterns(".run", "__pycache__")
    return shutil.copytree(ROOT / "steps", tmp_path / "steps", ignore=ignored)


def pitfalls_step(steps):
    return next(step for step in manifest.steps(steps) if step.pitfalls)


def new_pitfall(steps, name):
    return python("offload_lab", "dev", "new-pitfall", name, LAB_STEPS=str(steps))


def test_a_new_pitfall_is_found_by_its_manifest(steps):
    before = pitfalls_step(steps)
    answer = new_pitfall(steps, "lost_cookie")
    assert answer.returncode == 0, answer.stderr
    after = pitfalls_step(steps)
    assert after.pitfalls == [*before.pitfalls, "lost_cookie"]
    for path in ("lost_cookie.md", "lost_cookie_broken.ini", "lost_cookie_fixed.ini", "tests/test_lost_cookie.py"):
        assert f"{path}\n" in answer.stdout
        assert "TODO" in (after.folder / path).read_text()
    assert examine([str(after.folder / "lost_cookie_fixed.ini")], {}).unusable == []


@pytest.mark.full
def test_the_tests_of_a_new_pitfall_fail_until_they_are_written(steps):
    new_pitfall(steps, "lost_cookie")
    tests = pitfalls_step(steps).folder / "tests" / "test_lost_cookie.py"
    answer = python("pytest", "-q", str(tests), LAB_STEPS=str(steps))
    assert "Failed: TODO start stage_of(" in answer.stdout
    assert "2 failed" in answer.stdout


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("lost-cookie", "error: 'lost-cookie' cannot be a pitfall's name: use lower-case letters, digits and _"),
        ("7th", "error: '7th' cannot be a pitfall's name"),
        ("LostCookie", "error: 'LostCookie' cannot be a pitfall's name"),
        ("class", "error: 'class' cannot be a pitfall's name"),
        ("../escape", "error: '../escape' cannot be a pitfall's name"),
    ],
)
def test_a_new_pitfalls_name_must_be_an_identifier(steps, name, says):
    answer = new_pitfall(steps, name)
    assert says in " ".join(answer.stderr.split())
    assert answer.returncode == 1


def test_a_new_pitfall_replaces_nothing(steps):
    step = pitfalls_step(steps)
    before = {path: path.read_bytes() for path in step.folder.rglob("*") if path.is_file()}
    answer = new_pitfall(steps, step.pitfalls[0])
    assert f"error: {step.name} has {step.pitfalls[0]}.md already" in " ".join(answer.stderr.split())
    assert {path: path.read_bytes() for path in step.folder.rglob("*") if path.is_file()} == before
