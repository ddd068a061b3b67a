"""What a build needs from outside: the tools of this machine, the pinned source package, and other programs' work."""

import importlib.util
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import sysconfig
import tarfile
import time
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.append(str(ROOT))  # for another Python than .venv's, which is told below what it lacks

from offload_lab import programs  # noqa: E402

RUN_S, END_S = 3600.0, 30.0  # for one program, and for it to be gone once it was killed
WHEELS = ROOT / "wheels"  # there, if this folder came out of `./lab pack`

DEBIAN = sys.base_prefix == "/usr"  # another Python does not get its headers from Debian's package
SUPPLIES = (  # by the names that apt, dnf and brew have for them
    "gcc libc6-dev patch libpcre2-dev libssl-dev" + (f" {programs.PYTHON}-dev" if DEBIAN else ""),
    "gcc patch pcre2-devel openssl-devel python3-devel",
    "gpatch pcre2 openssl",
)


class EngineError(Exception):
    """The engine cannot be built; the text is one sentence with the value and the next step."""


def compiler() -> list[str]:
    """The compiler's words, as uWSGI's own build chooses it."""
    return shlex.split(os.environ.get("CC") or sysconfig.get_config_var("CC") or "gcc")


def check_tools() -> None:
    """Find out now, not after half a minute, what is missing.

    Raises: EngineError with the line that installs it.
    """
    headers = ["pcre2.h", "openssl/ssl.h", *(["Python.h"] if DEBIAN else [])]
    missing = [tool for tool in (compiler()[0], "patch", "pcre2-config") if shutil.which(tool) is None]
    if compiler()[0] not in missing:
        missing += [header for header in headers if not includes(header)]
    if missing:
        line = programs.command_here(programs.packages(*SUPPLIES))
        raise EngineError(f"cannot build without {', '.join(missing)}; install with: {line}")
    if not includes("Python.h"):
        raise EngineError(
            f"no Python.h in {sysconfig.get_path('include')}; install this Python again, with its headers"
        )
    for module in ("pip", "gevent"):
        if importlib.util.find_spec(module) is None:
            raise EngineError(f"{sys.executable} has no {module}; use the project's own Python: ./lab engine")


def includes(header: str) -> bool:
    """Whether the compiler finds `header`."""
    code = f"#define PCRE2_CODE_UNIT_WIDTH 8\n#include <{header}>\n"
    command = [*compiler(), f"-I{sysconfig.get_path('include')}", "-fsyntax-only", "-xc", "-"]
    return subprocess.run(command, input=code, text=True, capture_output=True).returncode == 0


def download(pins: Mapping[str, str], work: Path) -> Path:
    """uWSGI's source package, its hash checked by pip.

    pip insists on asking a package for its name, and needs setuptools for that, which Python 3.12 and later do not
    bring along: hence the second pin, unpacked into `work` and used by nothing else.
    """
    tools, folder = work / "tools", work / "download"
    pip(["install", "--target", str(tools), "--only-binary", ":all:"], pins["setuptools"], work)
    source = ["download", "--dest", str(folder), "--no-binary", ":all:", "--no-build-isolation", "--use-pep517"]
    pip(source, pins["uwsgi"], work, {"PYTHONPATH": str(tools)})
    return single_entry(folder, pins["uwsgi"])


def pip(arguments: list[str], pin: str, work: Path, env: Mapping[str, str] | None = None) -> None:
    """Raises: EngineError with the hash that differs, or with pip's last words."""
    wanted, log = work / "wanted.txt", work / "pip.log"
    wanted.write_text(f"{pin}\n")
    offline = ["--no-index", "--find-links", str(WHEELS)] if WHEELS.is_dir() else []
    command = [sys.executable, "-m", "pip", *arguments, *offline, "--no-deps", "--require-hashes", "-r", str(wanted)]
    log.unlink(missing_ok=True)
    if run(command, work, log, env) == 0:
        return
    output = log.read_text(errors="replace")
    if differs := re.search(r"Expected sha256 (\w+)\s+Got\s+(\w+)", output):
        raise EngineError(
            f"{pin.split()[0]} has the sha256 {differs[2]}, not {differs[1]} as requirements/engine.lock says;"
            " it was not unpacked: find out who changed it before you change the lock"
        )
    raise EngineError(
        f"pip could not fetch {pin.split()[0]}; check the network and try again. pip's last words: {tail(output)}"
    )


def unpack(archive: Path, work: Path) -> Path:
    with tarfile.open(archive) as package:
        package.extraction_filter = getattr(tarfile, "data_filter", lambda member, path: member)
        package.extractall(work / "source")
    return single_entry(work / "source", archive.name)


def single_entry(folder: Path, origin: str) -> Path:
    """The one file or folder in `folder`.

    Raises: EngineError where there is none, or more than one.
    """
    names = sorted(folder.iterdir())
    if len(names) != 1:
        raise EngineError(f"{origin.split()[0]} gave {len(names)} files or folders instead of one; try again: --force")
    return names[0]


def run(command: list[str], cwd: Path, log: Path, env: Mapping[str, str] | None = None) -> int:
    """The exit status of `command`, its output in `log`. Whatever it started has ended when this returns or raises.

    Raises: EngineError where it does not end within RUN_S seconds.
    """
    # both uWSGI and its build take orders from UWSGI_* variables
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("UWSGI_")}
    with log.open("ab") as out:
        child = subprocess.Popen(
            command,
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            start_new_session=True,
            env={**inherited, "TMPDIR": str(cwd), "LC_ALL": "C", **(env or {})},
        )
    deadline = time.monotonic() + RUN_S
    try:
        # WNOWAIT: not reaped yet, so the group's number is still its own
        while os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT | os.WNOHANG) is None:
            if time.monotonic() > deadline:
                output = tail(log.read_text(errors="replace"))
                raise EngineError(f"{command[0]} did not end within {RUN_S:g} s; its last words: {output}")
            time.sleep(0.05)
    finally:
        os.killpg(child.pid, signal.SIGKILL)
        child.wait(END_S)
    return child.returncode


def tail(text: str, lines: int = 3) -> str:
    return " | ".join(line.strip() for line in text.strip().splitlines()[-lines:])
