"""Other people's clients as processes that report in JSON lines; see drivers/contract.py for what they print."""

import fcntl
import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from offload_lab import programs
from offload_lab.paths import ROOT
from offload_lab.process.process import Process
from offload_lab.testing import require

DRIVERS = Path(__file__).with_name("drivers")
NODE = Path(__file__).with_name("node")
INSTALLED = ROOT / ".node"
NPM_S = 300
PYTHON = ("h2", "httpx_sse", "requests", "sseclient", "websockets")


@dataclass(frozen=True)
class Client:
    """One of them: its driver, the protocols it speaks over TLS, and what has to be there for it."""

    name: str
    driver: str
    protocols: tuple[str, ...]

    def missing(self) -> tuple[str, str] | None:
        """What is not there, and the command that installs it."""
        if self.driver.endswith(".mjs") or "wscat" in self.driver:
            return missing_node()
        if "chromium" in self.driver:
            if not programs.find("chromium"):
                return "Chromium", programs.install("chromium")
            return None if find_spec("playwright") else ("Playwright", "pip install playwright")
        if "curl" in self.driver and not programs.find("curl"):
            return "curl", programs.install("curl")
        absent = [module for module in PYTHON if not find_spec(module)]
        return (absent[0], "pip install -e '.[dev]'") if absent else None

    def require(self) -> None:
        """Skip with the install command where something is missing."""
        if missing := self.missing():
            require(False, *missing)


EVENT_SOURCES = (
    Client("Chromium", "with_chromium.py", ("h2",)),
    Client("eventsource", "with_eventsource.mjs", ("h1",)),
    Client("curl", "with_curl.py", ("h1", "h2")),
    Client("httpx-sse", "with_httpx_sse.py", ("h1", "h2")),
    Client("sseclient-py", "with_sseclient_py.py", ("h1",)),
)
WEB_SOCKETS = (
    Client("Chromium", "with_chromium.py", ("h1",)),
    Client("ws", "with_ws.mjs", ("h1",)),
    Client("wscat", "with_wscat.py", ("h1",)),
    Client("websockets", "with_websockets.py", ("h1",)),
)


@cache
def missing_node() -> tuple[str, str] | None:
    """The packages of node/package-lock.json are installed in .node when they are asked for first."""
    if not programs.find("npm"):
        return "npm", programs.install("npm")
    INSTALLED.mkdir(exist_ok=True)
    with (INSTALLED / "lock").open("a+") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # two test processes may ask at once
        lock.seek(0)
        wanted = (NODE / "package-lock.json").read_text()
        if lock.read() != wanted:
            shutil.copytree(NODE, INSTALLED, dirs_exist_ok=True)
            command = ["npm", "ci", "--no-audit", "--no-fund"]
            npm = subprocess.run(command, cwd=INSTALLED, capture_output=True, text=True, timeout=NPM_S)
            if npm.returncode:
                return f"eventsource, ws or wscat: {npm.stderr[-200:]}", f"cd {INSTALLED} && npm ci"
            lock.truncate(0)
            lock.write(wanted)
    return None


class Driven(Process):
    """A client connected to `targets`, each ``h1=URL`` or ``h2=URL``. `reports` has what it said of each so far."""

    def __init__(self, client: Client, targets: list[str], run: Path, cookie: str, trust: Path, types: str) -> None:
        driver = DRIVERS / client.driver
        command = ["node", str(driver)] if driver.suffix == ".mjs" else [sys.executable, str(driver)]
        settings = {
            "LAB_COOKIE": cookie,
            "LAB_CA": str(trust),
            "LAB_TYPES": types,
            "LAB_NODE": str(INSTALLED),
            "LAB_CHROMIUM": programs.find("chromium") or "",
            "NODE_EXTRA_CA_CERTS": str(trust),
            "PYTHONPATH": str(ROOT),
            "WEBSOCKETS_BACKOFF_INITIAL_DELAY": "0.5",  # five and three seconds by default
            "WEBSOCKETS_BACKOFF_MIN_DELAY": "0.5",
        }
        super().__init__(client.name, [*command, *targets], log=run / f"{driver.stem}.log", env=os.environ | settings)
        self.client = client
        self.reports: list[list[dict]] = [[] for _ in targets]
        self._read = 0

    def read(self) -> None:
        """Take in what it has printed since the last time.

        Raises: AssertionError once it has ended.
        """
        with self.log.open("rb") as log:
            log.seek(self._read)
            complete = log.read().rpartition(b"\n")[0]
        self._read += len(complete) + bool(complete)
        for line in complete.splitlines():
            if line.startswith(b'{"at"'):
                report = json.loads(line)
                self.reports[report["at"]].append(report)
        assert self.status() is None, f"{self.name} ended: {self.log_tail()}"
