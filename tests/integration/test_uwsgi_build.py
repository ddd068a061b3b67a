"""The build of the patched uWSGI: names what is missing, replaces nothing until the new program is proved.

Most tests build a toy: a local package called uwsgi, which pip installs without a network.
"""

import hashlib
import io
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from offload_lab.process.polling import wait_for
from offload_lab.testing import require, require_program
from offload_lab.timeouts import scaled

ROOT = Path(__file__).resolve().parents[2]
BUILT = ROOT / ".engine" / "uwsgi"
PATCH = "01-toy.patch"
FIX = "--- a/core.c\n+++ b/core.c\n@@ -1 +1 @@\n-one worker\n+one worker and a thread\n"
# what pip asks setuptools for, which is only the package's name
BACKEND = """
import pathlib

class Legacy:
    def get_requires_for_build_wheel(self, settings=None):
        return []

    def prepare_metadata_for_build_wheel(self, folder, settings=None):
        made = pathlib.Path(folder, "uwsgi-2.0.31.dist-info")
        made.mkdir()
        (made / "METADATA").write_text("Metadata-Version: 2.1\\nName: uwsgi\\nVersion: 2.0.31\\n")
        return made.name

    def build_wheel(self, *arguments):
        raise NotImplementedError

__legacy__ = Legacy()
"""
# stands in for uWSGI's compilation; {program} is what comes out of it
COMPILE = "import pathlib; made = pathlib.Path('uwsgi'); made.write_text({program!r}); made.chmod(0o755)"
SILENT = "#!/bin/sh\nexit 3\n"
WORKING = f'#!/bin/sh\nexec {BUILT} "$@"\n'


class Toy:
    """A project folder, a local index with a toy uWSGI, and the environment in which build.py uses them."""

    def __init__(self, folder: Path) -> None:
        self.root, self.index, self.bin, self.tmp = (folder / name for name in ("root", "index", "bin", "tmp"))
        for made in (self.root / "uwsgi_build/patches", self.root / "requirements", self.index, self.bin, self.tmp):
            made.mkdir(parents=True)
        (self.root / "uwsgi_build/patches" / PATCH).write_text(FIX)
        self.tool("cc")
        self.tool("pcre2-config")
        self.publish()

    def tool(self, name: str, script: str = "exit 0") -> None:
        path = self.bin / name
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)

    def publish(self, compile_with: str = COMPILE.format(program=SILENT), source: str = "one worker\n") -> None:
        """A setuptools and a uwsgi in the index, and a lock that fits both."""
        backend = self.index / "setuptools-80.9.0-py3-none-any.whl"
        with zipfile.ZipFile(backend, "w") as wheel:
            info = "setuptools-80.9.0.dist-info"
            wheel.writestr("setuptools/__init__.py", "")
            wheel.writestr("setuptools/build_meta.py", BACKEND)
            wheel.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: setuptools\nVersion: 80.9.0\n")
            wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
            wheel.writestr(f"{info}/RECORD", "")
        package = self.index / "uwsgi-2.0.31.tar.gz"
        files = {"setup.py": "", "uwsgiconfig.py": compile_with, "core.c": source, "buildconf/base.ini": ""}
        with tarfile.open(package, "w:gz") as archive:
            for name, text in files.items():
                member = tarfile.TarInfo(f"uwsgi-2.0.31/{name}")
                member.size = len(text.encode())
                archive.addfile(member, io.BytesIO(text.encode()))
        self.lock(sha256(backend), sha256(package))

    def lock(self, setuptools: str, uwsgi: str) -> None:
        pins = f"setuptools==80.9.0 --hash=sha256:{setuptools}\nuwsgi==2.0.31 --hash=sha256:{uwsgi}\n"
        (self.root / "requirements/engine.lock").write_text(pins)

    def start(self, *options: str, **env: str) -> "subprocess.Popen[str]":
        index = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(self.index), "PIP_CONFIG_FILE": os.devnull}
        machine = {"PATH": f"{self.bin}:{os.environ['PATH']}", "CC": "cc", "TMPDIR": str(self.tmp)}
        return subprocess.Popen(
            [sys.executable, str(ROOT / "uwsgi_build/build.py"), "--root", str(self.root), *options],
            env={**os.environ, **index, **machine, **env},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def build(self, *options: str, **env: str) -> "subprocess.CompletedProcess[str]":
        process = self.start(*options, **env)
        out, err = process.communicate(timeout=scaled(100))
        return subprocess.CompletedProcess(process.args, process.returncode, out, err)

    def good_engine(self) -> dict[str, bytes]:
        """Put an older engine in place; its files, to be compared later."""
        place = self.root / ".engine"
        place.mkdir()
        (place / "uwsgi").write_text("an older engine")
        (place / "engine.json").write_text('{"inputs": "older"}')
        return self.engine_files()

    def engine_files(self) -> dict[str, bytes]:
        return {path.name: path.read_bytes() for path in (self.root / ".engine").glob("*")}


@pytest.fixture
def toy(tmp_path: Path) -> Toy:
    require_program("patch")
    return Toy(tmp_path)


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


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


def prove(*command: str) -> "subprocess.CompletedProcess[str]":
    prover = [sys.executable, str(ROOT / "uwsgi_build/prove.py"), *command]
    return subprocess.run(prover, capture_output=True, text=True, timeout=scaled(100))


def test_the_built_engine_does_all_that_its_stamp_claims() -> None:
    require(BUILT.exists(), "the built uWSGI", "./lab engine")
    stamp = json.loads(BUILT.with_name("engine.json").read_text())
    done = prove(str(BUILT), *stamp["run_with"])
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == stamp["proved"]
    assert "route" in stamp["proved"]


@pytest.mark.full
def test_the_stock_wheel_still_crashes_there_and_has_no_ssl() -> None:
    """The day this fails is the day to drop the patch: see uwsgi_build/README.md."""
    wheel = Path(sys.executable).with_name("uwsgi")
    require(wheel.exists(), "the pyuwsgi wheel", "pip install pyuwsgi")
    done = prove(str(wheel))
    assert done.returncode == 1
    assert "Segmentation Fault" in done.stderr
    assert "ssl: answer ''" in done.stderr
    assert "pcre" not in done.stderr
    assert "gevent" not in done.stderr


def test_the_lock_pins_everything_and_names_no_index() -> None:
    lines = [line for line in (ROOT / "requirements/engine.lock").read_text().splitlines() if not line.startswith("#")]
    assert {line.partition("==")[0] for line in lines} == {"setuptools", "uwsgi"}
    for line in lines:
        assert "--hash=sha256:" in line
        assert "://" not in line


@pytest.mark.parametrize("patch", sorted((ROOT / "uwsgi_build/patches").glob("*.patch")), ids=lambda patch: patch.stem)
def test_a_patch_explains_itself_and_stays_small(patch: Path) -> None:
    head, _, body = patch.read_text().partition("\n--- a/")
    assert re.search(r"unbit/uwsgi #\d+|No\s+report\s+of\s+it\s+was\s+found", head), "what is known upstream"
    assert re.search(r"^Subject: \[PATCH\] .+(?s:.*)^Signed-off-by: ", head, re.MULTILINE), "as git am takes it"
    changed = [line for line in body.splitlines()[1:] if line.startswith(("+", "-"))]
    assert len(changed) <= 105
