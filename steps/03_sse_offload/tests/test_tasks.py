"""What each task of this step must do, for any answer: these tests also run against a learner's folder."""

import json
import select
import shutil
import socket
from contextlib import ExitStack, closing, suppress
from urllib.parse import quote, unquote

import psutil
import pytest

from offload_lab.clients import fetch_raw
from offload_lab.clients.event_stream import EventStreamParser
from offload_lab.clients.session import Session
from offload_lab.exercises.expectation import expect
from offload_lab.inspect.observe import take_snapshot
from offload_lab.measure.streams import held_sockets
from offload_lab.paths import ROOT
from offload_lab.process.deadlines import Deadline
from offload_lab.process.polling import wait_for
from offload_lab.stages import manifest
from offload_lab.stages.stage import Stage, short_private_folder
from offload_lab.system import is_linux
from offload_lab.timeouts import scaled
from offload_lab.uwsgi.logs import last_error
from offload_lab.uwsgi.server import Uwsgi

from ..lesson.observe import ADA, rename
from .conftest import FAST, TIMEOUT_S, altered
from .test_sse_lines import accepted, raw, trap, variables

STEP = manifest.find("03_sse_offload")
STAND_IN = ROOT / "steps" / STEP.name / "tests" / "stand_in_answers.py"  # ours, not one in the learner's folder
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\nretry: 1000\n\n"  # of the backend, played here
CROWD = 30
NOBODY = "the backend is not asked"


def front(variant, folder, *options):
    """The learner's front alone, before an app that answers as the client's cookie says."""
    app = (str(STEP.folder / "sseproject/wsgi.py"), str(STAND_IN))
    return Stage(altered(variant, folder, app, alone=True), "altered", options=options)


# --- the lines of header.ini and content_type.ini


def test_task_offload_threads(tmp_path):
    """The offload threads alone: a route of the test offloads, whatever the file's routes do."""
    route = ["--response-route", "^/offloaded uwsgi:%(run)/sse.sock,0,0"]
    with front("header", tmp_path, *route) as stage, trap(stage) as listener:
        before = {held.fd for held in held_sockets(stage)}
        with closing(socket.create_connection(("127.0.0.1", stage.port), scaled(TIMEOUT_S))) as client:
            client.sendall(raw(stage, "/offloaded", [("Cookie", "200")]))
            with accepted(listener):
                owners = []

                def a_socket_waits_for_the_backend():
                    owners[:] = [held for held in held_sockets(stage) if held.fd not in before and held.tid]
                    return [held for held in owners if held.what == "the backend"]

                if is_linux():
                    wait_for(a_socket_waits_for_the_backend, TIMEOUT_S, "the owner of the stream")
                else:  # no thread is told: then the worker's own count decides, which is certain once it is free
                    wait_for(lambda: not stage.workers()[0].busy, TIMEOUT_S, "a free worker")
                [worker] = take_snapshot(stage.step, stage.variant, stage.run).front.workers
                [counted] = stage.workers()
        offloaded = all(owner.tid in worker.offload_tids for owner in owners) if is_linux() else counted.offloaded == 1
        got = "an offload thread" if offloaded else "the worker itself, which is busy with it"
        expect("GET /offloaded, which the test's own route offloads: its sockets' owner", got, "an offload thread")


def test_task_offload(tmp_path):
    with front("header", tmp_path, "--offload-threads", "1") as stage:
        got, received = ask(stage, "yes")
        asked = "GET /subscribe, where the app authorises to ada"
        expect(asked, is_asked(got, received), "the backend is asked, with X_OFFLOAD=ada")
        expect(asked, got, ANSWER.decode())
        got, received = ask(stage, "403")
        asked = "GET /subscribe, where the app refuses"
        expect(asked, NOBODY if received is None else "the backend is asked", NOBODY)
        head = got.partition("\r\n\r\n")[0] if got.startswith("HTTP/") else f"no status line, only {got!r}"
        expect(asked, head, "HTTP/1.1 403 As Asked\r\nContent-Type: text/plain\r\nContent-Length: 3")


def test_task_type(tmp_path):
    with front("content_type", tmp_path) as stage:
        got, received = ask(stage, "yes")
        asked = "GET /subscribe, where the app authorises to ada"
        expect(asked, is_asked(got, received), "the backend is asked, with X_OFFLOAD=ada")
        forged = [(header(name), value) for name, value in received.items() if value == "text/event-stream"]
        forged.append(("Content-Type", "text/event-stream"))
        for status in ("304", "403"):
            _, received = ask(stage, status, dict(forged).items())
            sent = " and ".join(f"{name}: {value}" for name, value in dict(forged).items() if name != "Accept")
            asked = f"GET /subscribe as an anonymous client who sends {sent}, where the app answers {status}"
            expect(asked, NOBODY if received is None else "the backend is asked", NOBODY)


def ask(stage, cookie, headers=()):
    """All that a client gets, and what the backend is told of her: the variables, or None if it is not asked."""
    with (
        trap(stage) as listener,
        closing(socket.create_connection(("127.0.0.1", stage.port), scaled(TIMEOUT_S))) as client,
    ):
        client.sendall(raw(stage, "/subscribe", [("Cookie", cookie), *headers]))
        got, received = b"", None
        while ready := select.select([client, listener], [], [], scaled(TIMEOUT_S / 3))[0]:
            if listener in ready:
                with accepted(listener) as connection:
                    packet = connection.recv(65536)
                    received = {} if packet.startswith(b"GET ") else dict(variables(packet))
                    connection.sendall(ANSWER)
                    with suppress(TimeoutError):  # headers that are not held back are sent until then
                        wait_for(lambda: not stage.workers()[0].busy, TIMEOUT_S / 3, "the worker idle")
                listener.setblocking(False)
            elif chunk := client.recv(65536):
                got += chunk
            else:
                break
        return got.decode(), received


def is_asked(got, received):
    if received is None:
        return f"{NOBODY}, and ada gets {got.partition(chr(13))[0] or 'an empty reply'}"
    name = f"X_OFFLOAD={received['X_OFFLOAD']}" if "X_OFFLOAD" in received else "no X_OFFLOAD"
    return f"the backend is asked, with {name}"


def header(variable):
    """The request header that sets `variable`, as far as one can."""
    return variable.removeprefix("HTTP_").replace("_", "-").title()


# --- the backend, asked as the front asks it


@pytest.fixture
def behind():
    run = short_private_folder()
    try:
        with Uwsgi(STEP.folder / "sse.ini", run, placeholders=FAST) as server:
            server.wait_ready(Deadline(TIMEOUT_S))
            yield server
    finally:
        shutil.rmtree(run)


def connect(server, **sent):
    """A client's connection, offloaded: the variables in uWSGI's own protocol."""
    request = {"REQUEST_METHOD": "GET", "PATH_INFO": "/subscribe", "SERVER_PROTOCOL": "HTTP/1.1"}
    texts = [text.encode() for pair in {**request, **sent}.items() for text in pair]
    packet = b"".join(len(text).to_bytes(2, "little") + text for text in texts)
    connection = socket.socket(socket.AF_UNIX)
    connection.settimeout(scaled(TIMEOUT_S / 3))
    connection.connect(str(server.run / "sse.sock"))
    connection.sendall(b"\0" + len(packet).to_bytes(2, "little") + b"\0" + packet)
    return closing(connection)


def test_task_greenlets(behind):
    with ExitStack() as stage:
        clients = [stage.enter_context(connect(behind, X_OFFLOAD="ada")) for _ in range(CROWD)]
        tickets = dict.fromkeys(clients, 0)

        def all_have_one_or_one_has_many():
            for client in select.select(clients, [], [], 0)[0]:
                tickets[client] += client.recv(65536).count(b"event:")
            return all(tickets.values()) or max(tickets.values()) > 50 or "DAMN" in behind.log_tail()

        with suppress(TimeoutError):
            wait_for(all_have_one_or_one_has_many, TIMEOUT_S / 3, "tickets")
        threads = psutil.Process(behind.workers()[0].pid).num_threads()
        got = f"tickets for {sum(map(bool, tickets.values()))} of them, from {threads} thread(s)"
    expect(f"the backend, as {CROWD} clients at once", got, f"tickets for {CROWD} of them, from 1 thread(s)")


def test_task_listen(behind):
    asked = f"the backend with X_OFFLOAD={quote(ADA)}"
    head, body = answer(behind, X_OFFLOAD=quote(ADA))
    first, *headers = head.split("\r\n")
    expect(asked, first or "no status line", "HTTP/1.1 200 OK")
    kind = next((line for line in headers if line.startswith("Content-Type:")), "no Content-Type")
    expect(asked, kind, "Content-Type: text/event-stream")
    expect(asked, f"tickets for {called(body)}", f"tickets for {ADA}")
    head, body = answer(behind, HTTP_X_OFFLOAD="grace")
    got = head.partition("\r\n")[0] or "no status line"
    asked = "the backend without X_OFFLOAD, for a client who sends the header X-Offload: grace"
    expect(asked, f"{got}, and {'a' if body else 'no'} body", "HTTP/1.1 403 Forbidden, and a body")


def answer(server, **sent):
    """The head and what follows, up to the first ticket or the end."""
    got = b""
    with connect(server, **sent) as connection, suppress(TimeoutError):
        while not EventStreamParser().feed(got.rpartition(b"\r\n\r\n")[2]) and (chunk := connection.recv(65536)):
            got += chunk
    head, _, body = got.rpartition(b"\r\n\r\n")
    return head.decode("latin-1"), body


def called(body):
    data = "".join(event.data for event in EventStreamParser().feed(body)[:1])
    with suppress(ValueError, KeyError, TypeError):
        return json.loads(data)["for"]
    return data or "no user"


# --- the view


def test_task_authorise(tmp_path):
    """The view alone: a front without routes lets its header through."""
    step = altered("blocking", tmp_path, ("sseproject.blocking.", "sseproject.offload."), alone=True)
    with Stage(step, "altered") as stage:
        got = fetch_raw(stage.port, raw(stage, "/subscribe"))
        expect("GET /subscribe as an anonymous client", says(got, stage), "403, and no X-Offload-to-SSE")
        ada = Session(stage.port)
        ada.log_in()
        rename(stage.run, ADA)
        with closing(socket.create_connection(("127.0.0.1", stage.port), scaled(TIMEOUT_S))) as client:
            client.sendall(raw(stage, "/subscribe", [("Cookie", ada.cookie)]))
            got = b""
            while b"\n\n" not in got and (chunk := client.recv(65536)):
                got += chunk
        asked = f"GET /subscribe as {ADA}"
        expect(asked, says(got, stage), f"200, and X-Offload-to-SSE: {quote(ADA, safe='')}")
        streams = b"data:" in got
        expect(asked, "events from Django itself" if streams else "no events from Django", "no events from Django")


def says(got, stage):
    """Status and offload header of Django's response; the header as it should be where it means the same."""
    if b" 500 " in got[:20] or not got:
        return f"{'500' if got else 'an empty reply'} ({last_error(stage.front.log_tail(60))})"
    status, *headers = got.decode("latin-1").partition("\r\n\r\n")[0].split("\r\n")
    headers = [line.partition(":")[2].strip() for line in headers if line.lower().startswith("x-offload-to-sse:")]
    if not headers:
        return f"{status.split()[1]}, and no X-Offload-to-SSE"
    header = quote(ADA, safe="") if unquote(headers[0]) == ADA else headers[0]
    return f"{status.split()[1]}, and X-Offload-to-SSE: {header}"
