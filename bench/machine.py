"""Machine, versions and limits of a run, recorded with it: the numbers mean nothing without."""

import os
import platform
import re
import resource
import shutil
import subprocess
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import psutil

from offload_lab import programs
from offload_lab.errors import MissingDependencyError
from offload_lab.uwsgi import binary

from .specs import ServerSpec

PACKAGES = (
    *("Django", "asgiref", "gevent", "gunicorn", "uvicorn", "uvloop", "httptools", "granian", "daphne", "Twisted"),
    *("channels", "starlette", "django-eventstream"),
)
PROGRAMS = {"nginx": ["-v"], "pushpin": ["--version"]}
DEBIAN = ("libnginx-mod-nchan",)
LIMITS = ("net/core/somaxconn", "net/ipv4/tcp_max_syn_backlog", "net/ipv4/ip_local_port_range")


def about(plan: str, specs: Mapping[str, ServerSpec], taken: str) -> dict[str, Any]:
    """The first line of a run's file."""
    return {
        "plan": plan,
        "taken": taken,
        "servers": list(specs),
        "machine": machine(),
        "versions": versions(),
        "limits": limits(),
        "settings": {name: settings(spec) for name, spec in specs.items()},
    }


def machine() -> dict[str, Any]:
    models = re.findall(r"^model name\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    return {
        "processor": models[0] if models else platform.machine(),
        "cores": os.cpu_count(),
        "memory_mib": psutil.virtual_memory().total // 2**20,
        "system": f"{platform.system()} {platform.release()}",
        "load": os.getloadavg()[0],
    }


def versions() -> dict[str, str]:
    found = {"Python": platform.python_version()}
    for name in ("wheel", "built"):
        try:
            found[f"uWSGI ({name})"] = binary.find(name).version
        except MissingDependencyError:
            pass
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            pass
    for program, options in PROGRAMS.items():
        if path := programs.find(program):
            found[program] = version_of([path, *options])
    if shutil.which("dpkg-query"):
        packages = {name: version_of(["dpkg-query", "-Wf", "${Version}", name]) for name in DEBIAN}
        found |= {name: known for name, known in packages.items() if known}
    return found


def version_of(command: list[str]) -> str:
    """The last word of the first line that `command` prints; empty where it fails."""
    try:
        answer = subprocess.run(command, capture_output=True, text=True, errors="replace", timeout=10)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    lines = (answer.stdout + answer.stderr).split("\n") if answer.returncode == 0 else [""]
    return lines[0].rpartition(" ")[2].removeprefix("nginx/")


def limits() -> dict[str, str]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    kernel = {name: (Path("/proc/sys") / name).read_text().split() for name in LIMITS}
    return {"descriptors": f"{soft} (at most {hard})", **{name: " ".join(numbers) for name, numbers in kernel.items()}}


def settings(spec: ServerSpec) -> dict[str, Any]:
    return {
        "title": spec.title,
        "kind": spec.kind,
        "shape": spec.shape,
        "advice": spec.advice,
        "commands": {process["name"]: " ".join(process["command"]) for process in spec.process},
    }
