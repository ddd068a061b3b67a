#!/usr/bin/env python3
"""Run the patched uWSGI under gcc's address, leak and undefined-behaviour sanitizers.

    python uwsgi_build/sanitize.py

Run by `./lab engine --sanitize`. Builds a second program into .engine/sanitized, and drives it with all that prove.py
tries, with clients that leave early, fragments, sockets that are passed and not taken, a worker that is stopped, and
reloads. Prints what the sanitizers reported; the status is 1 where a report names a file that a patch changes. Not
instrumented: Python, gevent, and the stack (greenlets copy it, which looks like an error).
"""

import contextlib
import os
import re
import signal
import socket
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import prove
from build import HERE, build, run_with
from each import changed_sources
from toolchain import EngineError

CFLAGS = "-g -fno-omit-frame-pointer -fsanitize=address,undefined --param=asan-stack=0"
FOLDER = ".engine/sanitized"
BASIC = "detect_stack_use_after_return=0:replace_intrin=0"
ROUNDS = 20
BEGINNING = r"\n(?===\d+==ERROR|(?:Direct|Indirect) leak|\S+: runtime error)"  # of a report
REQUEST = b"GET /route HTTP/1.1\r\nHost: localhost\r\nX-Long: " + b"x" * 600 + b"\r\n\r\n"
FRAME = b"\x01\x83\0\0\0\0abc"  # a beginning, masked
FRAMES = (
    FRAME,
    FRAME * 2,
    b"\x80\x81\0\0\0\0x",
    b"\x81\xfe\xff\xff\0\0\0\0",
    FRAME + b"\x80\x83\0\0\0\0def",
    b"\x89\x80",
)


def main() -> int:
    os.environ |= {"CFLAGS": CFLAGS, "LDFLAGS": "-fsanitize=address,undefined"}
    os.environ |= {"ASAN_OPTIONS": f"{BASIC}:detect_leaks=0", "UBSAN_OPTIONS": "print_stacktrace=1"}
    try:
        build(HERE.parent, force=False, folder=FOLDER)
        with tempfile.TemporaryDirectory(prefix="sanitize-", dir="/tmp") as name:  # a short path, for UNIX sockets
            reports = reports_of([str(HERE.parent / FOLDER / "uwsgi"), *run_with()], Path(name))
    except (EngineError, prove.ProofError) as error:
        print(f"engine: {error}", file=sys.stderr)
        return 1
    changed = {path for patch in (HERE / "patches").glob("*.patch") for path in changed_sources(patch)}
    ours = [report for report in reports if any(re.search(rf"\b{path}:\d+", report) for path in changed)]
    for report in ours:
        print(report)
    print(f"engine: {len(reports)} reports, {len(ours)} of them name a file that a patch changes")
    return 1 if ours else 0


def reports_of(command: list[str], run: Path) -> list[str]:
    """What the sanitizers wrote while the program was driven."""
    log = f"log_path={run}/report"
    os.environ |= {"ASAN_OPTIONS": f"{BASIC}:detect_leaks=1:{log}", "UBSAN_OPTIONS": f"print_stacktrace=1:{log}"}
    with prove.pair(command, run):
        for _ in range(ROUNDS):
            leave_early(run / "front", REQUEST)
            leave_early(run / "backend", b"\0\x0d\0\0\x03\0ABC\x04\0defg")
            fragments(run)
            passes(run)
        for name in ("front", "direct"):
            stop_and_reload(run, name)
        for ability in (prove.pcre, prove.gevent, prove.ssl, prove.refusal, prove.websocket, prove.passing):
            fine, seen = ability(run)
            if not fine:
                raise EngineError(f"after all that, {ability.__name__} does not work any more: {seen}")
    written = "\n".join(path.read_text(errors="replace") for path in sorted(run.glob("report.*")))
    return [report for report in re.split(BEGINNING, f"\n{written}") if report.strip()]


def leave_early(path: Path, request: bytes) -> None:
    """Clients that send a part of the request, byte by byte at first, and leave without an answer."""
    for end in {*range(1, len(request), 37), len(request)}:
        with connected(path) as client:
            client.sendall(request[:1])
            client.sendall(request[1:end])


def fragments(run: Path) -> None:
    for frames in FRAMES:
        with connected(run / "direct") as client:
            client.sendall(f"GET /handshake HTTP/1.1\r\nHost: localhost\r\n{prove.UPGRADE}\r\n".encode())
            client.recv(4096)
            client.sendall(frames)


def passes(run: Path) -> None:
    """The client's socket with a whole request, with half of one, and a descriptor that is no socket."""
    prove.passing(run)
    kept, passed = socket.socketpair()
    with kept, passed, tempfile.TemporaryFile() as file:
        for packet, sent in ((b"\0\x0d", passed), (b"\0\0\0\0", file), (b"\0\0\0\0", passed)):
            with connected(run / "backend") as connection:
                socket.send_fds(connection, [packet], [sent.fileno()])


def stop_and_reload(run: Path, name: str) -> None:
    """Stop the worker while clients come and leave, let it go on, and reload it while requests wait."""
    worker = int(prove.pid(prove.get(run / name, "/")))
    master = int(Path(f"/proc/{worker}/stat").read_text().rpartition(")")[2].split()[1])
    os.kill(worker, signal.SIGSTOP)
    try:
        clients = [socket.socket(socket.AF_UNIX) for _ in range(ROUNDS)]
        for number, client in enumerate(clients):
            client.connect(str(run / name))
            client.sendall(REQUEST)
            if number % 2:
                client.close()
    finally:
        os.kill(worker, signal.SIGCONT)
    os.kill(master, signal.SIGHUP)
    deadline = time.monotonic() + prove.DEADLINE_S
    while prove.pid(prove.get(run / name, "/")) in ("", str(worker)):
        if time.monotonic() > deadline:
            raise EngineError(f"{name} was not reloaded within {prove.DEADLINE_S:g} s")
        time.sleep(0.05)
    for client in clients:
        client.close()


@contextlib.contextmanager
def connected(path: Path) -> Iterator[socket.socket]:
    """A client; that the server closes first is no error."""
    with socket.socket(socket.AF_UNIX) as client, contextlib.suppress(ConnectionError):
        client.settimeout(prove.DEADLINE_S)
        client.connect(str(path))
        yield client


if __name__ == "__main__":
    sys.exit(main())
