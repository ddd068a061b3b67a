#!/usr/bin/env python3
"""Build uWSGI with the patches in this folder, prove that it does what they promise, and only then put it in place.

    python uwsgi_build/build.py [--force]

Run by `./lab engine`. Downloads what requirements/engine.lock pins (pip checks the hashes), applies patches/*.patch in
the order of their names, compiles with profile.ini for the Python that runs this file, and lets prove.py try it.
Needs a C compiler, `patch`, and the headers of Python, PCRE2 and OpenSSL.

Leaves in .engine/ the program `uwsgi` and `engine.json`, which says what it was made from (`inputs`), what was seen to
work (`proved`) and which arguments the program needs to find this Python's packages (`run_with`); after a failed
compilation `build.log`. An engine that is already there stays until a new one is proved.
"""

import argparse
import hashlib
import json
import os
import re
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from toolchain import EngineError, check_tools, download, run, tail, unpack

HERE = Path(__file__).resolve().parent


def main(arguments: list[str]) -> int:
    options = parser().parse_args(arguments)
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda caught, _: sys.exit(128 + caught))  # so that every `finally` runs
    try:
        build(options.root.resolve(), options.force)
    except EngineError as error:
        print(f"engine: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("engine: stopped; nothing was changed", file=sys.stderr)
        return 130
    return 0


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(prog="engine", description="build uWSGI with this folder's patches")
    made.add_argument("--force", action="store_true", help="build again even if nothing has changed")
    made.add_argument("--root", type=Path, default=HERE.parent, help="the project's folder, for tests")
    return made


def build(root: Path, force: bool, folder: str = ".engine") -> None:
    """Bring <root>/<folder> up to date.

    Raises: EngineError; the engine that is there is unchanged then.
    """
    pins, patches, place = locked(root), sorted((root / "uwsgi_build/patches").glob("*.patch")), root / folder
    wanted = inputs(pins, patches)
    if not force and is_current(place, wanted):
        print(f"engine: {place / 'uwsgi'} is up to date (uWSGI {wanted['uwsgi']}); --force builds it again")
        return
    check_tools()
    with tempfile.TemporaryDirectory(prefix="engine-") as name:
        work = Path(name)
        with phase("download"):
            archive = download(pins, work)
        with phase("unpack"):
            source = unpack(archive, work)
        with phase("patch"):
            apply(patches, source)
        with phase("build"):
            program = compile_in(source, work, place)
        with phase("prove"):
            proved = prove(program, work)
        with phase("install"):
            install(program, place, {"inputs": wanted, "proved": proved, "run_with": run_with()})
    print(f"engine: {place / 'uwsgi'} is ready: {', '.join(proved)}")


@contextmanager
def phase(name: str) -> Iterator[None]:
    print(f"engine: {name:<9}", end="", flush=True)
    started = time.monotonic()
    try:
        yield
    except BaseException:
        print("failed", flush=True)
        raise
    print(f"{time.monotonic() - started:5.1f} s", flush=True)


def locked(root: Path) -> dict[str, str]:
    """The pinned requirements by name, each as one line for pip."""
    text = (root / "requirements/engine.lock").read_text().replace("\\\n", " ")
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    return {line.partition("==")[0]: line for line in lines}


def inputs(pins: Mapping[str, str], patches: list[Path]) -> dict[str, Any]:
    """All that decides what the program will be and what is proved of it: where one differs, it is built again."""
    return {
        "uwsgi": pins["uwsgi"].split()[0].partition("==")[2],
        "source": pins["uwsgi"].partition("--hash=")[2],
        "patches": {patch.name: sha256(patch) for patch in patches},
        "profile": sha256(HERE / "profile.ini"),
        "proof": sha256(HERE / "prove.py"),
        "python": {"version": sys.version.split()[0], "prefix": sys.prefix, "base_prefix": sys.base_prefix},
    }


def is_current(place: Path, wanted: Mapping[str, Any]) -> bool:
    program, stamp = place / "uwsgi", place / "engine.json"
    try:
        known = json.loads(stamp.read_text())
        return bool(known["inputs"] == wanted and known["sha256"] == sha256(program))
    except (OSError, ValueError, KeyError, TypeError):
        return False  # absent, or torn by a power cut: build


def apply(patches: list[Path], source: Path) -> None:
    """Raises: EngineError with the first patch that does not apply, and its hunks."""
    for patch in patches:
        log = source / "patch.log"
        log.unlink(missing_ok=True)
        # no fuzz: a patch that fits only roughly is one that somebody has to look at
        if run(["patch", "-p1", "--batch", "--forward", "--fuzz=0", "-i", str(patch)], source, log) != 0:
            output = log.read_text(errors="replace")
            hunks = re.findall(r"^Hunk #\d+ .*", output, re.MULTILINE)
            raise EngineError(
                f"{patch.name} does not apply ({'; '.join(hunks) or tail(output)});"
                " if this uWSGI carries the cure already, delete the patch, else renew it"
            )


def compile_in(source: Path, work: Path, place: Path) -> Path:
    """Compile with every core this process may use, or CPUCOUNT of them. Returns the program.

    Raises: EngineError with the end of the compiler's output.
    """
    (source / "buildconf/lab.ini").write_bytes((HERE / "profile.ini").read_bytes())
    cores = os.environ.get("CPUCOUNT") or str(len(os.sched_getaffinity(0)))
    log = work / "build.log"
    status = run([sys.executable, "uwsgiconfig.py", "--build", "lab"], source, log, {"CPUCOUNT": cores})
    if status != 0 or not (source / "uwsgi").exists():
        place.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(log, place / "build.log")
        output = log.read_text(errors="replace")
        raise EngineError(f"the compiler failed; all it said is in {place / 'build.log'}, which ends: {tail(output)}")
    return source / "uwsgi"


def run_with() -> list[str]:
    """What the program has to be given to see the packages of the Python that runs this."""
    return [] if sys.prefix == sys.base_prefix else ["--home", sys.prefix]


def prove(program: Path, work: Path) -> dict[str, str]:
    """What the program was seen to do, by ability.

    Raises: EngineError with what it cannot do.
    """
    log = work / "prove.log"
    status = run([sys.executable, str(HERE / "prove.py"), str(program), *run_with()], work, log)
    output = log.read_text(errors="replace").strip()
    if status != 0:
        raise EngineError(f"the program was built but not installed: {output.removeprefix('engine: ')}")
    proved: dict[str, str] = json.loads(output)
    return proved


def install(program: Path, place: Path, stamp: dict[str, Any]) -> None:
    """Each file appears whole; a stamp that is not of this program counts as none (see is_current)."""
    place.mkdir(parents=True, exist_ok=True)
    fresh, note = place / "uwsgi.new", place / "engine.json.new"
    shutil.copy2(program, fresh)
    note.write_text(json.dumps({**stamp, "sha256": sha256(fresh)}, indent=2) + "\n")
    os.replace(fresh, place / "uwsgi")
    os.replace(note, place / "engine.json")
    (place / "build.log").unlink(missing_ok=True)


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
