"""One nginx.conf as a running nginx in front of a stage: ports, certificate, readiness, reload.

A step's nginx.conf runs by hand from the step's folder, beside the INIs with their defaults::

    cd steps/NN_name && nginx -p "$PWD" -c nginx.conf -e stderr -g 'daemon off;'

Three values in it depend on the machine, and only these are replaced in a stage's copy: the address after ``listen``,
the front's ``127.0.0.1:9090``, and the run folder ``.run/``. Started by root, nginx would run its workers as another
user, which cannot enter the run folder: the stage adds ``user root;`` to ``-g``, as has to be done by hand.
"""

import os
import pwd
import re
import signal
import subprocess
from http.client import HTTPException
from pathlib import Path

import psutil

from offload_lab import programs
from offload_lab.errors import MissingDependencyError, StartError
from offload_lab.process.deadlines import LOOPBACK, Deadline
from offload_lab.process.http import fetch
from offload_lab.process.server_process import ServerProcess

OLDEST = (1, 19, 5)  # the first with -e
LISTEN = re.compile(r"(?m)^(\s*listen\s+)127\.0\.0\.1:\d+(.*;)")
FRONT = re.compile(r"\b127\.0\.0\.1:9090\b")
RUN = re.compile(r"(?<![\w/.])\.run/")
TLS = re.compile(r"(?m)^\s*ssl_certificate\s")
CERTIFICATE, KEY = "cert.pem", "key.pem"
DAYS = 7
PING_S = 2.0


def find() -> str:
    """The nginx program.

    Raises: MissingDependencyError with the command that installs it.
    """
    path = programs.require("nginx")
    banner = subprocess.run([path, "-v"], capture_output=True, text=True, timeout=20).stderr
    version = re.search(r"nginx/(\d+)\.(\d+)\.(\d+)", banner)
    if version is None or tuple(map(int, version.groups())) < OLDEST:
        oldest = ".".join(map(str, OLDEST))
        raise MissingDependencyError(
            f"nginx {oldest} or later (found {banner.strip()})", programs.PROGRAMS["nginx"].purpose, "nginx.org"
        )
    return path


def render(text: str, run: Path, port: int, front_port: int) -> str:
    """`text` with the proxy's port, the front's port and the run folder of a stage.

    Raises: StartError unless there is one ``listen``.
    """
    text, listens = LISTEN.subn(rf"\g<1>{LOOPBACK}:{port}\2", text)
    if listens != 1:
        raise StartError(f"nginx.conf has {listens} lines of the form `listen 127.0.0.1:PORT`; a stage needs one")
    return RUN.sub(f"{run}/".replace("\\", r"\\"), FRONT.sub(f"{LOOPBACK}:{front_port}", text))


def make_certificate(folder: Path, names: str = "IP:127.0.0.1,DNS:localhost") -> None:
    """A key and a self-signed certificate in `folder`, for `names` as openssl writes them.

    Raises: MissingDependencyError without openssl.
    """
    command = [
        programs.require("openssl"),
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:prime256v1",
        "-nodes",
    ]
    command += ["-days", str(DAYS), "-subj", "/CN=localhost", "-addext", f"subjectAltName={names}"]
    command += ["-keyout", str(folder / KEY), "-out", str(folder / CERTIFICATE)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    if done.returncode:
        raise StartError(f"openssl could not make a certificate: {done.stderr.strip()}")


class Nginx(ServerProcess):
    """An nginx started from a copy of `conf` in `run`, before the front at `front_port`.

    It is ready once ``GET /ping`` through it answers 200. `certificate` is the file that a client has to trust, None
    where `conf` uses no TLS.
    """

    def __init__(self, conf: Path, run: Path, *, port: int, front_port: int) -> None:
        self.conf, self.run = conf, run
        self.port: int = port
        text = render(conf.read_text(), run, port, front_port)
        self._rendered = run / conf.name
        self._rendered.write_text(text)
        self.certificate = run / CERTIFICATE if TLS.search(text) else None
        user = f"user {pwd.getpwuid(os.getuid()).pw_name};" if os.getuid() == 0 else ""
        command = [find(), "-p", str(run), "-c", str(self._rendered), "-e", "stderr", "-g", f"daemon off;{user}"]
        super().__init__(conf.stem, command, log=run / f"{conf.stem}.log", scratch=run)

    @property
    def url(self) -> str:
        return f"{'https' if self.certificate else 'http'}://{LOOPBACK}:{self.port}"

    def start(self) -> None:
        """Raises: PortInUseError before anything is started; MissingDependencyError where a certificate is needed and
        openssl is missing; StartError.
        """
        if self.certificate and not self.certificate.exists():
            make_certificate(self.run)
        super().start()

    def is_ready(self) -> bool:
        try:
            return fetch(self.port, "/ping", timeout_s=PING_S, certificate=self.certificate).status == 200
        except (OSError, HTTPException):
            return False

    def workers(self) -> list[int]:
        """The process ids of the workers that accept connections, without those that are shutting down."""
        return [child.pid for child in psutil.Process(self.pid).children() if accepts(child)]

    def reload(self, deadline: Deadline) -> None:
        """Send SIGHUP. Returns once only new workers accept; the old ones live as long as their connections."""
        before = set(self.workers())
        os.kill(self.pid, signal.SIGHUP)
        self.wait_until(lambda: bool(now := set(self.workers())) and not now & before and self.is_ready(), deadline)


def accepts(process: psutil.Process) -> bool:
    """Whether this is a worker of nginx that accepts connections."""
    try:
        title = " ".join(process.cmdline())
    except psutil.NoSuchProcess:  # the last connection of an old worker has ended meanwhile
        return False
    return "worker process" in title and "shutting down" not in title
