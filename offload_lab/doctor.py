"""What this machine has: for each part what it is for, what is there, and the command that gets it."""

import importlib.util
import platform
import resource
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from offload_lab.errors import LabError
from offload_lab.system import NOT_TOLD, is_linux
from offload_lab.uwsgi import binary

from . import programs

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
    yield uwsgi("wheel", "all steps but 05's route", binary.INSTALL, needed=True)
    yield uwsgi("built", "uwsgi.route(), uWSGI's own WebSocket handshake", "./lab engine", needed=False)
    yield descriptors()
    yield Finding(
        "/proc", "which thread waits for what", "Linux" if is_linux() else None, f"{NOT_TOLD}: docs/systems.md"
    )
    for name in (
        "redis-server",
        "postgresql",
        "chromium",
        "nginx",
        "openssl",
        "curl",
        "npm",
        "pushpin",
        "node",
        "uv",
        "cc",
    ):
        yield program(name)
    yield header("Python headers", "Python.h", programs.PYTHON_HEADERS)
    yield header("PCRE2 headers", "pcre2.h", programs.PCRE2_HEADERS)
    yield header("OpenSSL headers", "openssl/ssl.h", programs.OPENSSL_HEADERS)
    yield module("JupyterLab", "the notebooks", "jupyterlab", "./lab install notebook")
    yield module("Playwright", "the browser tests", "playwright", "./lab install test")


def uwsgi(name: str, purpose: str, install: str, needed: bool) -> Finding:
    try:
        it = binary.find(name)
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


def program(name: str) -> Finding:
    about = programs.PROGRAMS[name]
    return Finding(about.title, about.purpose, programs.find(name), programs.install(name))


def header(part: str, name: str, install: Mapping[str, str]) -> Finding:
    return Finding(part, "./lab engine", programs.find_header(name), programs.command_here(install))


def module(part: str, purpose: str, name: str, install: str) -> Finding:
    return Finding(part, purpose, "installed" if importlib.util.find_spec(name) else None, install)
