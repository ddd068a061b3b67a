#!/usr/bin/env python3
"""Show that each patch stands alone: `git am` takes it, and what it changes compiles.

    python uwsgi_build/each.py

Run by `./lab engine --each`. A patch that builds on another one gets that one first: see NEEDS. The compiler only
checks the files that a patch changes; nothing is linked or installed. Needs `git` and what a build needs.
"""

import os
import re
import shlex
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path

from build import HERE, locked
from toolchain import EngineError, check_tools, compiler, download, run, tail, unpack

NEEDS = {  # by number: the patches that have to be there before
    "06": ["04"],
    "09": ["03", "07"],
    "10": ["01"],
    "13": ["05"],
    "15": ["14"],
}
GIT = {f"GIT_{who}_{what}": "builder@localhost" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
GIT |= {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"}  # no hooks or signatures of this machine's user


def main() -> int:
    try:
        with tempfile.TemporaryDirectory(prefix="engine-") as name:
            check_all(Path(name))
    except EngineError as error:
        print(f"engine: {error}", file=sys.stderr)
        return 1
    return 0


def check_all(work: Path) -> None:
    """Raises: EngineError with the first patch that does not stand alone."""
    check_tools()
    if shutil.which("git") is None:
        raise EngineError("--each needs git; install it with: apt-get install git")
    patches = {patch.name[:2]: patch for patch in sorted((HERE / "patches").glob("*.patch"))}
    source = unpack(download(locked(HERE.parent), work), work)
    (source / "buildconf/lab.ini").write_bytes((HERE / "profile.ini").read_bytes())
    flags = compiler_flags(source)
    for command in (["init", "--quiet"], ["add", "--all", "--force"], ["commit", "--quiet", "--message=source"]):
        git(source, *command)
    git(source, "tag", "source")
    for number, patch in patches.items():
        needs = NEEDS.get(number, [])
        git(source, "checkout", "--quiet", "--force", "source")
        for earlier in needs:
            git(source, "am", "--quiet", str(patches[earlier]))
        git(source, "am", "--quiet", str(patch))
        for path in changed_sources(patch):
            compile_alone(source, flags, path)
        print(f"engine: {patch.stem} stands {'on ' + ' and '.join(needs) if needs else 'alone'}", flush=True)


def compiler_flags(source: Path) -> list[str]:
    command = [sys.executable, "uwsgiconfig.py", "--cflags", "lab"]
    printed = subprocess.run(command, cwd=source, capture_output=True, text=True, check=True, timeout=100).stdout
    of_the_build = ['-DUWSGI_CFLAGS=""', '-DUWSGI_BUILD_DATE=""']
    return [*shlex.split(printed.splitlines()[-1]), *of_the_build, f"-I{sysconfig.get_path('include')}", "-Werror"]


def git(source: Path, *arguments: str) -> None:
    """Raises: EngineError with the end of git's output."""
    log = source.parent / "git.log"
    log.unlink(missing_ok=True)
    if run(["git", *arguments], source, log, GIT) != 0:
        output = tail(log.read_text(errors="replace"))
        raise EngineError(f"git {' '.join(arguments[-2:])} failed; its last words: {output}")


def changed_sources(patch: Path) -> list[str]:
    return re.findall(r"^\+\+\+ b/(.*\.c)$", patch.read_text(), re.MULTILINE)


def compile_alone(source: Path, flags: list[str], path: str) -> None:
    """Raises: EngineError with the end of the compiler's output."""
    log = source.parent / "compiler.log"
    log.unlink(missing_ok=True)
    if run([*compiler(), *flags, "-fsyntax-only", path], source, log) != 0:
        output = tail(log.read_text(errors="replace"))
        raise EngineError(f"{path} does not compile; the compiler's last words: {output}")


if __name__ == "__main__":
    sys.exit(main())
