"""Where a run was made: machine, versions, limits. They stand in its file, since the numbers mean nothing without."""

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

from .contestants import Contestant

PACKAGES = ("Django", "gevent", "gunicorn", "uvicorn", "uvloop", "httptools", "granian", "daphne", "Twisted")
PROGRAMS = {"nginx": ["-v"], "pushpin": ["--version"]}
DEBIAN = ("libnginx-mod-nchan",)
LIMITS = ("net/core/somaxconn", "net/ipv4/tcp_max_syn_backlog", "net/ipv4/ip_local_port_range")


def about(plan: str, contestants: Mapping[str, Contestant], taken: str) -> dict[str, Any]:
    """The first line of a run's file."""
    return {
        "plan": plan,
        "taken": taken,
        "contestants": list(contestants),
        "machine": machine(),
        "versions": versions(),
        "limits": limits(),
        "settings": {name: settings(one) for name, one in contestants.items()},
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
    for program, words in PROGRAMS.items():
        if path := programs.find(program):
            found[program] = said([path, *words])
    if shutil.which("dpkg-query"):
        found |= {name: told for name in DEBIAN if (told := said(["dpkg-query", "-Wf", "${Version}", name]))}
    return found


def said(words: list[str]) -> str:
    """What a program prints when asked for its version: the last word of its first line; empty where it says none."""
    try:
        answer = subprocess.run(words, capture_output=True, text=True, errors="replace", timeout=10)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    lines = (answer.stdout + answer.stderr).split("\n") if answer.returncode == 0 else [""]
    return lines[0].rpartition(" ")[2].removeprefix("nginx/")


def limits() -> dict[str, str]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    kernel = {name: (Path("/proc/sys") / name).read_text().split() for name in LIMITS}
    return {"descriptors": f"{soft} (at most {hard})", **{name: " ".join(words) for name, words in kernel.items()}}


def settings(one: Contestant) -> dict[str, Any]:
    return {
        "title": one.title,
        "kind": one.kind,
        "shape": one.shape,
        "advice": one.advice,
        "commands": {process["name"]: " ".join(process["command"]) for process in one.process},
    }
