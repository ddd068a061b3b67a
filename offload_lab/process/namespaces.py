"""Network namespaces as hosts (ip-netns(8)). Making one needs root, and a kernel that allows it."""

import ctypes
import os
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

IP_S = 30.0


def ip(*arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(["ip", *arguments], capture_output=True, text=True, timeout=IP_S)


def can_make_namespaces() -> bool:
    if os.geteuid():
        return False
    made = ip("netns", "add", name := f"lab-try-{os.getpid()}").returncode == 0
    return made and ip("netns", "del", name).returncode == 0


def enter(name: str) -> None:
    """Move this thread into the namespace `name`; the sockets, threads and processes that it makes are there."""
    with Path("/run/netns", name).open() as namespace:
        if ctypes.CDLL(None, use_errno=True).setns(namespace.fileno(), 0):
            raise OSError(ctypes.get_errno(), f"setns to {name}: {os.strerror(ctypes.get_errno())}")


def inside(name: str) -> ThreadPoolExecutor:
    """One thread in the namespace `name`: ``with inside(name) as host: host.submit(act).result()``."""
    return ThreadPoolExecutor(1, initializer=enter, initargs=(name,))
