#!/usr/bin/env python3
"""Run the patched uWSGI under gcc's address, leak and undefined-behaviour sanitizers.

    python uwsgi_build/sanitize.py [--force]

Run by `./lab engine --sanitize`. Builds a second program into .engine/sanitized, and drives it with all that prove.py
tries, with clients that leave early, fragments, sockets that are passed and not taken, a worker that is stopped, and
reloads. Prints what the sanitizers reported; the status is 1 where a report comes from a file that a patch changes. Not
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
from collections import Counter
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
RELOADED_S = 4 * prove.DEADLINE_S  # the leaks of the old program are looked for first
ALLOCATORS = ("core/utils.c:", "core/strings.c:", "core/buffer.c:")
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
        build(HERE.parent, force="--force" in sys.argv, folder=FOLDER)
        with tempfile.TemporaryDirectory(prefix="sanitize-", dir="/tmp") as name:  # a short path, for UNIX sockets
            reports = reports_of([str(HERE.parent / FOLDER / "uwsgi"), *run_with()], Path(name))
    except (EngineError, prove.ProofError) as error:
        print(f"engine: {error}", file=sys.stderr)
        return 1
    changed = {path for patch in (HERE / "patches").glob("*.patch") for path in changed_sources(patch)}
    places = Counter(place(report) for report in reports)
    for report in reports:
        if place(report).partition(":")[0] in changed:
            print(report)
    for name, count in places.most_common():
        print(f"engine: {count:4} reports from {name or 'Python and its packages'}")
    unclean = [name for name in places if name.partition(":")[0] in changed]
    print(f"engine: the patched files are {'not clean: ' + ', '.join(unclean) if unclean else 'clean'}")
    return 1 if unclean else 0


def place(report: str) -> str:
    """The innermost line of uWSGI's in a report, but for its allocators; empty where there is none."""
    lines: list[str] = re.findall(r"\b((?:core|proto|plugins)/\S+?\.c:\d+)", report)
    return next((line for line in lines if not line.startswith(ALLOCATORS)), "")


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
    written = [path.read_text(errors="replace") for path in (*run.glob("report.*"), *run.glob("*.log"))]
    return [report for text in written for report in re.split(BEGINNING, f"\n{text}")[1:]]


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
    deadline = time.monotonic() + RELOADED_S
    while prove.pid(prove.get(run / name, "/")) in ("", str(worker)):
        if time.monotonic() > deadline:
            raise EngineError(f"{name} was not reloaded within {RELOADED_S:g} s")
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
