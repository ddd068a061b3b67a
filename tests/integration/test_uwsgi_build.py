"""The build of the patched uWSGI: names what is missing, replaces nothing until the new program is proved.

Most tests build a toy: a local package called uwsgi, which pip installs without a network.
"""

import hashlib
import json
import shutil
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from offload_lab.process.polling import wait_for
from offload_lab.testing import require, require_program
from offload_lab.timeouts import scaled

from .toy_engine import BUILT, COMPILE, FIX, PATCH, Toy, sha256

WORKING = f'#!/bin/sh\nexec {BUILT} "$@"\n'


@pytest.fixture
def toy(tmp_path: Path) -> Toy:
    require_program("patch")
    return Toy(tmp_path)


def changed_hash(toy: Toy) -> None:
    toy.lock(sha256(toy.index / "setuptools-80.9.0-py3-none-any.whl"), "0" * 64)


def unreachable(toy: Toy) -> None:
    (toy.index / "uwsgi-2.0.31.tar.gz").unlink()


def patch_outdated(toy: Toy) -> None:
    toy.publish(source="two workers\n")


def compilation_fails(toy: Toy) -> None:
    toy.publish(compile_with="import sys; print('core.c:1: error: no such thread'); sys.exit(1)")


def nothing_comes_out(toy: Toy) -> None:
    toy.publish(compile_with="print('all done')")


def proof_fails(toy: Toy) -> None:
    toy.publish()


FAILURES = [
    (changed_hash, ["uwsgi==2.0.31", "0" * 64, "requirements/engine.lock"]),
    (unreachable, ["could not fetch uwsgi==2.0.31", "check the network", "No matching distribution"]),
    (patch_outdated, [PATCH, "Hunk #1 FAILED at 1"]),
    (compilation_fails, ["no such thread", ".engine/build.log"]),
    (nothing_comes_out, ["all done", ".engine/build.log"]),
    (proof_fails, ["built but not installed", "starts", "status 3"]),
]


@pytest.mark.full
@pytest.mark.parametrize(("breakage", "words"), FAILURES, ids=[breakage.__name__ for breakage, _ in FAILURES])
def test_a_failure_is_one_line_and_leaves_the_earlier_engine(
    toy: Toy, breakage: Callable[[Toy], None], words: list[str]
) -> None:
    before = toy.good_engine()
    breakage(toy)
    done = toy.build()
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1, done.stderr
    for word in words:
        assert word in done.stderr
    after = toy.engine_files()
    after.pop("build.log", None)
    assert after == before
    assert not list(toy.tmp.iterdir())


@pytest.mark.full
def test_a_failure_with_no_earlier_engine_installs_nothing(toy: Toy) -> None:
    assert toy.build().returncode == 1
    assert not (toy.root / ".engine").exists()


@pytest.mark.full
def test_the_log_of_a_failed_compilation_is_kept_whole(toy: Toy) -> None:
    toy.publish(compile_with="import sys; print('\\n'.join(map(str, range(50)))); sys.exit(1)")
    toy.build()
    assert (toy.root / ".engine/build.log").read_text().split() == [str(number) for number in range(50)]


@pytest.mark.parametrize("tool", ["cc", "patch", "pcre2-config"])
def test_a_missing_tool_is_named_before_anything_is_downloaded(toy: Toy, tool: str) -> None:
    toy.tool("patch")
    (toy.bin / tool).unlink()
    done = toy.build(PATH=str(toy.bin))
    assert done.returncode == 1
    assert f"cannot build without {tool}; install with: apt-get install gcc " in done.stderr
    assert "download" not in done.stdout


@pytest.mark.parametrize(
    ("header", "package"),
    [("pcre2.h", "libpcre2-dev"), ("openssl/ssl.h", "libssl-dev"), ("Python.h", "")],
)
def test_a_missing_header_is_named_before_anything_is_downloaded(toy: Toy, header: str, package: str) -> None:
    toy.tool("cc", f'case "$(cat)" in *"{header}"*) exit 1;; esac')
    done = toy.build()
    assert done.returncode == 1
    assert header in done.stderr
    assert package in done.stderr
    assert "download" not in done.stdout


@pytest.mark.full
def test_stopping_it_ends_the_compiler_and_leaves_nothing(toy: Toy, tmp_path: Path) -> None:
    note = tmp_path / "pid"
    waiting = f"import os, subprocess; child = subprocess.Popen(['sleep', '600']); open({str(note)!r}, 'w')"
    toy.publish(compile_with=f"{waiting}.write(f'{{child.pid}} {{os.getpid()}} '); child.wait()")
    before = toy.good_engine()
    process = toy.start()
    try:
        wait_for(lambda: note.exists() and note.read_text().endswith(" "), 60, "the compiler starts")
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=scaled(60))
    finally:
        process.kill()
    assert process.returncode == 130
    assert "stopped" in err
    for pid in note.read_text().split():
        wait_for(lambda pid=pid: not alive(int(pid)), 30, f"process {pid} has ended")  # type: ignore[misc]
    assert toy.engine_files() == before
    assert not list(toy.tmp.iterdir())


def alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"


@pytest.fixture
def working(toy: Toy) -> Toy:
    """A toy whose compilation gives the engine built here, so that the proof holds."""
    require(BUILT.exists(), "the built uWSGI", "./lab engine")
    toy.publish(compile_with=COMPILE.format(program=WORKING))
    return toy


@pytest.mark.full
def test_a_proved_engine_replaces_the_earlier_one_and_is_not_built_twice(working: Toy) -> None:
    working.good_engine()
    first = working.build()
    assert first.returncode == 0, first.stderr
    stamp = json.loads((working.root / ".engine/engine.json").read_text())
    assert set(stamp["proved"]) == {
        "starts",
        "pcre",
        "gevent",
        "ssl",
        "route",
        "refusal",
        "websocket",
        "pass",
        "range",
        "status",
        "variables",
        "whole_match",
        "scheme",
        "message",
        "pass_on",
    }
    assert stamp["inputs"]["patches"] == {PATCH: hashlib.sha256(FIX.encode()).hexdigest()}
    files = working.engine_files()
    assert set(files) == {"uwsgi", "engine.json"}

    shutil.rmtree(working.index)  # a second build could not even begin
    second = working.build()
    assert second.returncode == 0, second.stderr
    assert "up to date" in second.stdout
    assert working.engine_files() == files
    assert working.build("--force").returncode == 1


@pytest.mark.full
@pytest.mark.parametrize("change", ["patch", "program", "stamp"])
def test_it_is_built_again_when_something_differs(working: Toy, change: str) -> None:
    assert working.build().returncode == 0
    if change == "patch":
        (working.root / "uwsgi_build/patches" / PATCH).write_text(f"A better header.\n{FIX}")
    elif change == "program":
        (working.root / ".engine/uwsgi").write_text("torn")
    else:
        (working.root / ".engine/engine.json").write_text('{"inputs":')
    again = working.build()
    assert again.returncode == 0, again.stderr
    assert "is ready" in again.stdout
