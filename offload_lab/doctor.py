"""What this machine has: each part with its purpose, what was found, and the command that installs it."""

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
class Part:
    """`found` is None where it is missing; `needed`: no step runs without it."""

    name: str
    purpose: str
    found: str | None
    install: str
    needed: bool = False


def examine() -> Iterator[Part]:
    """All parts, those first without which no step runs."""
    yield Part("Python", "everything", platform.python_version(), "Python 3.11 or later", needed=True)
    yield uwsgi("wheel", "every step", binary.INSTALL, needed=True)
    yield uwsgi("built", "uwsgi.route(), uWSGI's own WebSocket handshake", "./lab engine", needed=False)
    yield descriptors()
    yield Part("/proc", "which thread waits for what", "Linux" if is_linux() else None, f"{NOT_TOLD}: docs/systems.md")
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


def uwsgi(name: str, purpose: str, install: str, needed: bool) -> Part:
    try:
        it = binary.find(name)
    except LabError:
        return Part(f"uWSGI ({name})", purpose, None, install, needed)
    able = {"routing": it.pcre, "ssl": it.ssl, "gevent": it.gevent, "uwsgi.route()": it.route_works}
    abilities = ", ".join(f"{'' if has else 'no '}{ability}" for ability, has in able.items())
    return Part(f"uWSGI ({name})", purpose, f"{it.version}: {abilities}", install, needed)


def descriptors() -> Part:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    enough = soft >= DESCRIPTORS_WANTED
    most = "unlimited" if hard == resource.RLIM_INFINITY else hard
    better = 65_536 if hard == resource.RLIM_INFINITY else min(65_536, hard)
    found, install = f"{soft} (at most {most})", f"ulimit -n {better}    # now {soft}"
    return Part("descriptor limit", "thousands of streams", found if enough else None, install)


def program(name: str) -> Part:
    about = programs.PROGRAMS[name]
    return Part(about.title, about.purpose, programs.find(name), programs.install(name))


def header(part: str, name: str, install: Mapping[str, str]) -> Part:
    return Part(part, "./lab engine", programs.find_header(name), programs.command_here(install))


def module(part: str, purpose: str, name: str, install: str) -> Part:
    return Part(part, purpose, "installed" if importlib.util.find_spec(name) else None, install)
