"""What is the same in every stage and so is no part of any lesson: /ping, run folder, secret key, a file to send."""

import os
import secrets
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from .arguments import argument
from .refusals import WSGIApplication, with_refusals

MIB = 2**20


def run_folder() -> Path:
    """The stage's run folder: ``run`` in the INI's ``pyargv``."""
    folder = Path(argument("run"))
    if not folder.is_dir():
        raise RuntimeError(
            f"no run folder {folder}: uWSGI cuts pyargv at spaces, so it has to be somewhere without; put this before"
            ' --ini: --set-placeholder run="$(mktemp -d)"'
        )
    return folder


def secret_key(path: Path) -> str:
    """The random key in `path`, made with mode 0600 if it is missing. Two processes that come at once get the same."""
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile("w", dir=path.parent) as new:  # mode 0600
            new.write(secrets.token_urlsafe(50))
            new.flush()
            try:
                os.link(new.name, path)  # whole or not at all, and the first one wins
            except FileExistsError:
                pass
    return path.read_text()


def with_ping(application: WSGIApplication) -> WSGIApplication:
    """Answer ``GET /ping`` before `application`, and say which worker did. Refuse what is no request before both."""

    def outer(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        if environ["PATH_INFO"] == "/ping":
            start_response("200 OK", [("Content-Type", "text/plain"), ("X-Worker-Pid", str(os.getpid()))])
            return [b"pong"]
        return application(environ, start_response)

    return with_refusals(outer)


def make_file(path: Path, mib: int) -> Path:
    """A file of `mib` MiB at `path` in which every 8 bytes say where they stand in it, so that a mix-up would show."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        for start in range(0, mib * MIB, MIB):
            file.write(b"%08x" % start * (MIB // 8))
    return path
