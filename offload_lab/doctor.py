"""What this machine has: for each part what it is for, what is there, and the command that gets it."""

import glob
import importlib.util
import platform
import resource
import shutil
import sys
import sysconfig
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from . import engine
from .errors import LabError

DESCRIPTORS_WANTED = 10_000  # for a few thousand offloaded streams: two each in the front, one in the backend


@dataclass(frozen=True)
class Finding:
    """One part. `found` is None where it is missing; `needed` is true where nothing works without it."""

    part: str
    purpose: str
    found: str | None
    install: str
    needed: bool = False


def examine() -> Iterator[Finding]:
    yield Finding("Python", "everything", platform.python_version(), "Python 3.11 or later", needed=True)
    yield uwsgi("wheel", "all steps but 05's route", engine.INSTALL, needed=True)
    yield uwsgi("built", "uwsgi.route(), uWSGI's own WebSocket handshake", "./lab engine", needed=False)
    yield descriptors()
    yield program("Redis", "step 06", ["redis-server"], "apt-get install redis-server")
    yield program("PostgreSQL", "step 07, orm_in_gevent", postgres(), "apt-get install postgresql")
    yield program("Chromium", "the browser tests", ["chromium", "chromium-browser"], "apt-get install chromium")
    yield program("nginx", "stages behind a proxy", ["nginx", *glob.glob("/usr/sbin/nginx")], "apt-get install nginx")
    yield program("OpenSSL", "the proxy's certificate", ["openssl"], "apt-get install openssl")
    yield program("curl", "the tests with other people's clients", ["curl"], "apt-get install curl")
    yield program("Node.js and npm", "the tests with other people's clients", ["npm"], "apt-get install nodejs npm")
    yield program("C compiler", "./lab engine", ["cc", "gcc", "clang"], "apt-get install gcc")
    yield header("Python headers", Path(sysconfig.get_path("include")), "Python.h", python_headers())
    yield header("PCRE2 headers", Path("/usr/include"), "pcre2.h", "apt-get install libpcre2-dev")
    yield header("OpenSSL headers", Path("/usr/include/openssl"), "ssl.h", "apt-get install libssl-dev")
    yield module("JupyterLab", "the notebooks", "jupyterlab", "./lab notebook installs it")
    yield module("Playwright", "the browser tests", "playwright", "./lab test installs it")


def uwsgi(name: str, purpose: str, install: str, needed: bool) -> Finding:
    try:
        it = engine.find(name)
    except LabError:
        return Finding(f"uWSGI ({name})", purpose, None, install, needed)
    able = {"routing": it.pcre, "ssl": it.ssl, "gevent": it.gevent, "uwsgi.route()": it.route_works}
    abilities = ", ".join(f"{'' if has else 'no '}{ability}" for ability, has in able.items())
    return Finding(f"uWSGI ({name})", purpose, f"{it.version}: {abilities}", install, needed)


def descriptors() -> Finding:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    enough = soft >= DESCRIPTORS_WANTED
    most = "unlimited" if hard == resource.RLIM_INFINITY else hard
    better = 65_536 if hard == resource.RLIM_INFINITY else min(65_536, hard)
    found, install = f"{soft} (at most {most})", f"ulimit -n {better}    # now {soft}"
    return Finding("descriptor limit", "thousands of streams", found if enough else None, install)


def program(part: str, purpose: str, names: list[str], install: str) -> Finding:
    return Finding(part, purpose, next(filter(None, map(shutil.which, names)), None), install)


def postgres() -> list[str]:
    """Debian keeps the server's programs off the path, one folder a version."""
    return ["pg_ctl", *glob.glob("/usr/lib/postgresql/*/bin/pg_ctl")]


def header(part: str, folder: Path, name: str, install: str) -> Finding:
    path = folder / name
    return Finding(part, "./lab engine", str(path) if path.exists() else None, install)


def python_headers() -> str:
    return f"apt-get install python{sys.version_info.major}.{sys.version_info.minor}-dev"


def module(part: str, purpose: str, name: str, install: str) -> Finding:
    return Finding(part, purpose, "installed" if importlib.util.find_spec(name) else None, install)
