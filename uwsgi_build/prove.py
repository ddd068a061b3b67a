#!/usr/bin/env python3
"""Prove what a uWSGI can do by using it, not by reading its banner.

    python uwsgi_build/prove.py .engine/uwsgi --home .venv

Starts a front and a gevent backend on UNIX sockets in a private temporary folder, tries each ability from outside and
prints what was seen, as JSON. Where an ability is missing it says which, and what came instead, with status 1.
Arguments after the program are given to it as they are: with a virtual environment it needs ``--home <folder>``.
"""

import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

HERE = Path(__file__).resolve().parent
DEADLINE_S = 120.0  # for a hang: nothing here takes a second where a core is free
COMMON = ("--strict", "--master", "--need-app", "--die-on-term", "--no-orphans", "--vacuum", "--chmod-socket=600")
UPGRADE = (
    "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
)
ACCEPT = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="  # RFC 6455's own example for that key
CONTINUES_NOTHING = b"\x80\x81\0\0\0\0x"
FRAGMENT = b"\xfe\x02\x58\0\0\0\0" + b"x" * 600  # masked with nothing, without its first byte
CLAIMS = {
    "pcre": "a route's $1 reached the app",
    "gevent": "requests run in greenlets",
    "ssl": "websocket_handshake() gives RFC 6455's own example",
    "route": "uwsgi.route() answers with the backend's body and the worker lives on",
    "refusal": "a request that cannot be offloaded gets 503",
    "websocket": "a WebSocket frame that continues nothing ends its own connection only",
    "pass": "a backend answers on the socket that came with the request",
    "range": "an offload thread sends the announced range of a file and no more",
    "status": "what is no request line gets 400",
    "whole_match": "a route's $0 reached the app although there is no group",
    "scheme": "an X-Forwarded-Proto that is not UTF-8 reaches the app",
    "variables": "a request with more headers than there are variables gets 431",
    "message": "websocket-max-size holds for a message of fragments",
    "pass_on": "a front with an offload-timeout passes the client's socket with the request",
}
Seen = tuple[bool, str]  # whether it is as claimed, and what was received


class ProofError(Exception):
    """Abilities are missing; the text names each, and what was seen instead."""


def prove(command: list[str]) -> dict[str, str]:
    """What `command` was seen to do, by ability.

    Raises: ProofError with all that it cannot do.
    """
    # a UNIX socket's path ends at 107 bytes, and TMPDIR may be anywhere
    short = None if len(os.fsencode(tempfile.gettempdir())) <= 80 else "/tmp"  # noqa: S108 - the folder in it is private
    with tempfile.TemporaryDirectory(prefix="proof-", dir=short) as name:
        run = Path(name)
        with pair(command, run) as log:
            tried = {"pcre": pcre(run), "gevent": gevent(run), "ssl": ssl(run), "route": route(run, log)}
            tried |= {"refusal": refusal(run), "websocket": websocket(run), "pass": passing(run)}
            tried |= {"range": file_range(run), "status": status(run), "variables": variables(run)}
            tried |= {"whole_match": whole_match(run), "scheme": scheme(run), "message": message(run)}
            tried |= {"pass_on": passing_on(command, run)}
    failed = [f"{ability}: {seen}" for ability, (fine, seen) in tried.items() if not fine]
    if failed:
        raise ProofError("; ".join(failed))
    return {"starts": ask(command, ["--version"]).strip().splitlines()[-1], **CLAIMS}


@contextlib.contextmanager
def pair(command: list[str], run: Path) -> Iterator[Path]:
    """A backend and a front in front of it, both answering; yields the front's log."""
    backend = ["--socket", f"{run}/backend", "--http-socket", f"{run}/direct", "--gevent", "4"]
    backend += ["--websocket-max-size", "1"]
    front = ["--http-socket", f"{run}/front", "--offload-threads", "1", "--honour-range"]
    front += ["--static-map", f"/files={HERE}", "--module", "proof_app:front"]
    rules = ["--route", r"^/ticket/(\d+)$ addvar:TICKET=$1", "--route", f"^/down uwsgi:{run}/down,0,0"]
    rules += ["--route", "^/zero$ addvar:TICKET=$0"]
    with server(command, [*backend, "--module", "proof_app:backend"], run, "backend", "direct"):
        if "unrecognized option" in (output := ask(command, [*rules, "--version"])):
            raise ProofError(f"pcre: {output.strip().splitlines()[0]}")
        with server(command, [*front, *rules], run, "front", "front") as log:
            yield log


@contextlib.contextmanager
def server(command: list[str], options: list[str], run: Path, name: str, probe: str) -> Iterator[Path]:
    """One uWSGI that has answered on the socket `probe`; yields its log. Ends it by PID, politely, then firmly."""
    log = run / f"{name}.log"
    arguments = [*command, *COMMON, "--pythonpath", str(HERE), *options]
    env = {**environment(), "PROOF_BACKEND": f"{run}/backend"}
    with log.open("wb") as out:
        child = subprocess.Popen(arguments, stdin=subprocess.DEVNULL, stdout=out, stderr=out, env=env)
    try:
        wait_until_it_answers(child, run / probe, log)
        yield log
    finally:
        child.send_signal(signal.SIGTERM)
        try:
            child.wait(5)
        except subprocess.TimeoutExpired:
            child.kill()  # its workers follow it: --no-orphans
            child.wait(DEADLINE_S)


def environment() -> dict[str, str]:
    """Ours without UWSGI_*: each of those is an option to uWSGI."""
    return {name: value for name, value in os.environ.items() if not name.startswith("UWSGI_")}


def wait_until_it_answers(child: "subprocess.Popen[bytes]", path: Path, log: Path) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while time.monotonic() < deadline:
        answers = path.exists() and get(path, "/").startswith("HTTP/1.1 200")
        if child.poll() is not None:  # after the question: a child that ended meanwhile does not start
            raise ProofError(f"starts: it ended with status {child.returncode}; its log ends: {tail(log)}")
        if answers:
            return
        time.sleep(0.05)
    raise ProofError(f"starts: no answer within {DEADLINE_S:g} s; its log ends: {tail(log)}")


def get(path: Path, url: str, headers: str = "", then: bytes = b"") -> str:
    """The whole answer to one GET, and to what follows it, over a UNIX socket; empty where the connection is cut."""
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(DEADLINE_S)
        try:
            client.connect(str(path))
            client.sendall(f"GET {url} HTTP/1.1\r\nHost: localhost\r\n{headers}\r\n".encode("latin-1") + then)
            if headers:
                client.shutdown(socket.SHUT_WR)  # a WebSocket stays open until we leave
            return b"".join(iter(lambda: client.recv(65536), b"")).decode(errors="replace")
        except OSError:
            return ""


def ask(command: list[str], question: list[str]) -> str:
    arguments = [*command, *question]
    done = subprocess.run(arguments, capture_output=True, text=True, timeout=DEADLINE_S, env=environment())
    return done.stdout + done.stderr


def pcre(run: Path) -> Seen:
    answer = get(run / "front", "/ticket/42")
    return answer.endswith("\r\n\r\n42"), f"answer {answer!r}"


def gevent(run: Path) -> Seen:
    answer = get(run / "direct", "/")
    return answer.endswith("backend in a Greenlet"), f"answer {answer!r}"


def ssl(run: Path) -> Seen:
    answer = get(run / "direct", "/handshake", UPGRADE)
    return ACCEPT in answer, f"answer {answer!r} to a WebSocket handshake"


def route(run: Path, log: Path) -> Seen:
    before = pid(get(run / "front", "/"))
    answer = get(run / "front", "/route")
    after = pid(get(run / "front", "/"))
    crash = re.search(r"uWSGI process \d+ got [^!\n]*[^!\s]", log.read_text(errors="replace"))
    fine = (
        answer.endswith("backend in a Greenlet") and before == after and pid(answer) not in ("", before) and not crash
    )
    logged = crash.group() if crash else "no crash in its log"
    return fine, f"answer {answer!r}, worker {before} before and {after} after, {logged}"


def refusal(run: Path) -> Seen:
    answer = get(run / "front", "/down")
    return answer.startswith("HTTP/1.1 503 "), f"answer {answer!r} for a backend that is down"


def websocket(run: Path) -> Seen:
    before = pid(get(run / "direct", "/"))
    answer = get(run / "direct", "/handshake", UPGRADE, CONTINUES_NOTHING)
    after = pid(get(run / "direct", "/"))
    return ACCEPT in answer and before == after, f"answer {answer!r}, worker {before} before and {after} after"


def passing(run: Path) -> Seen:
    """As a front passes it: the client's socket with the request's last byte."""
    halves = [half.encode() for half in ("REQUEST_METHOD", "GET", "PATH_INFO", "/", "SERVER_PROTOCOL", "HTTP/1.1")]
    variables = b"".join(len(half).to_bytes(2, "little") + half for half in halves)
    client, passed = socket.socketpair()
    with client, socket.socket(socket.AF_UNIX) as connection:
        client.settimeout(DEADLINE_S)
        connection.settimeout(DEADLINE_S)
        connection.connect(str(run / "backend"))
        with passed:
            packet = b"\0" + len(variables).to_bytes(2, "little") + b"\0" + variables
            socket.send_fds(connection, [packet], [passed.fileno()])
        answer = b"".join(iter(lambda: client.recv(65536), b"")).decode(errors="replace")
    return answer.endswith("backend in a Greenlet"), f"answer {answer!r} on the passed socket"


def file_range(run: Path) -> Seen:
    answer = get(run / "front", f"/files/{Path(__file__).name}", "Range: bytes=2-11\r\n")
    headers, _, body = answer.partition("\r\n\r\n")
    fine = " 206 " in headers and body == Path(__file__).read_text()[2:12]
    return fine, f"answer {headers!r} and {len(body)} bytes where ten bytes of a file were asked for"


def variables(run: Path) -> Seen:
    answer = get(run / "front", "/", "".join(f"X-{number}: y\r\n" for number in range(130)))
    return answer.startswith("HTTP/1.1 431 "), f"answer {answer!r} to 130 headers"


def whole_match(run: Path) -> Seen:
    answer = get(run / "front", "/zero")
    return answer.endswith("\r\n\r\n/zero"), f"answer {answer!r}"


def scheme(run: Path) -> Seen:
    answer = get(run / "direct", "/", "X-Forwarded-Proto: \xff\r\n")
    return answer.startswith("HTTP/1.1 200 "), f"answer {answer!r}"


def message(run: Path) -> Seen:
    """The app sends back what it receives: 600 bytes of the allowed 1,024, but not 1,200."""
    whole = get(run / "direct", "/handshake", UPGRADE, b"\x82" + FRAGMENT)
    twice = get(run / "direct", "/handshake", UPGRADE, b"\x02" + FRAGMENT + b"\x80" + FRAGMENT)
    fine = "x" * 600 in whole and ACCEPT in twice and "x" * 600 not in twice
    return fine, f"{whole.count('x')} of 600 bytes and {twice.count('x')} of 1,200"


def passing_on(command: list[str], run: Path) -> Seen:
    """As a backend takes it: the client's socket comes with the request's last byte."""
    options = ["--http-socket", f"{run}/passing", "--module", "proof_app:front", "--offload-threads", "1"]
    options += ["--offload-timeout", "60", "--route", f"^/pass passuwsgi:{run}/taker,0,0"]
    with socket.socket(socket.AF_UNIX) as listener, socket.socket(socket.AF_UNIX) as client:
        listener.bind(str(run / "taker"))
        listener.listen()
        for connection in (listener, client):
            connection.settimeout(DEADLINE_S)
        try:
            with server(command, options, run, "passing", "passing"):
                client.connect(str(run / "passing"))
                client.sendall(b"GET /pass HTTP/1.1\r\nHost: localhost\r\n\r\n")
                with listener.accept()[0] as connection:
                    return take(connection, client)
        except (ProofError, OSError) as error:
            return False, str(error)


def take(connection: socket.socket, client: socket.socket) -> Seen:
    connection.settimeout(DEADLINE_S)
    size = int.from_bytes(connection.recv(4, socket.MSG_WAITALL)[1:3], "little")
    connection.recv(size - 1, socket.MSG_WAITALL)
    _, descriptors, *_ = socket.recv_fds(connection, 1, 1)
    for descriptor in descriptors:
        with socket.socket(fileno=descriptor) as passed:
            passed.sendall(b"taken")
    answer = client.recv(5, socket.MSG_WAITALL) if descriptors else b""
    return answer == b"taken", f"{len(descriptors)} descriptors with the last byte, answer {answer!r}"


def status(run: Path) -> Seen:
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(DEADLINE_S)
        client.connect(str(run / "front"))
        client.sendall(b"GET /\r\n\r\n")
        answer = client.recv(65536).decode(errors="replace")
    return answer.startswith("HTTP/1.1 400 "), f"answer {answer!r} to a request line without a version"


def pid(answer: str) -> str:
    found = re.search(r"X-Worker-Pid: (\d+)", answer)
    return found.group(1) if found else ""


def tail(log: Path) -> str:
    return " | ".join(log.read_text(errors="replace").strip().splitlines()[-4:])


def main(command: list[str]) -> int:
    if not command:
        print("usage: python uwsgi_build/prove.py <uwsgi> [its options]", file=sys.stderr)
        return 2
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that the servers' `finally` runs
    try:
        print(json.dumps(prove([str(Path(command[0]).absolute()), *command[1:]])))
    except (ProofError, OSError, subprocess.SubprocessError) as error:
        print(f"engine: proof failed: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
