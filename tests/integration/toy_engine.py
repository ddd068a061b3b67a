"""A small package in the place of uWSGI, which builds in no time and fails in every way."""

import hashlib
import io
import os
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

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
        raise AssertionError("only the metadata is asked for")

__legacy__ = Legacy()
"""
# stands in for uWSGI's compilation; {program} is what comes out of it
COMPILE = "import pathlib; made = pathlib.Path('uwsgi'); made.write_text({program!r}); made.chmod(0o755)"
SILENT = "#!/bin/sh\nexit 3\n"


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


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
