"""What each task of this step must do, for any answer: these tests also run against a learner's folder."""

import socket
from contextlib import contextmanager

from offload_lab.clients.raw import IN, RawClient
from offload_lab.clients.session import login_cookie
from offload_lab.clients.sse import request_bytes
from offload_lab.clients.websocket import upgrade_request
from offload_lab.errors import MissingDependencyError
from offload_lab.exercises.expectation import expect
from offload_lab.exercises.hints import answer_in
from offload_lab.exercises.sandbox import sandbox
from offload_lab.exercises.stuck_workers import stuck_workers
from offload_lab.inspect.socket_owners import find_socket_owners
from offload_lab.process.polling import wait_for
from offload_lab.stages import manifest
from offload_lab.stages.stage import Stage
from offload_lab.testing import require
from offload_lab.uwsgi import binary

from ..lesson import diagnoses as api

STEP = manifest.find("05_uwsgi_api")
FOR_ADA = "200 OK and events for ada"
REFUSED = "403 Forbidden, 'log in first', and Django's headers"

SETTLED_S = 5

DJANGO = "apiproject/wsgi.py"
STAND_IN = '''
"""Django's part without Django: authorises a request with a name in the query, refuses every other."""

import uwsgi

from offload_lab.stages.site import run_folder, with_ping

SERVERS = {"/subscribe": f"{run_folder()}/sse.sock", "/ws": f"{run_folder()}/board.sock"}


@with_ping
def application(environ, start_response):
    if name := environ["QUERY_STRING"]:
        uwsgi.add_var("OFFLOAD_USER", name)
        uwsgi.add_var("OFFLOAD_SERVER", SERVERS[environ["PATH_INFO"]])
        uwsgi.add_var("OFFLOAD", "y")
        start_response("200 OK", [("X-Frame-Options", "DENY")])
        return [b""]  # as Django does: then the headers go out, unless they are kept back
    start_response("403 Forbidden", [("X-Frame-Options", "DENY")])
    return [b"log in first"]
'''


@contextmanager
def stage_for(task, stand_in=False):
    """The variant of `task` with an answer to it alone: the other tasks have those of their last hints."""
    variant = STEP.task(task).variant
    try:
        engine = binary.find_able(STEP.variant(variant).needs)
    except MissingDependencyError as missing:
        require(False, missing.what, missing.install)
    others = {other.name: answer_in(other.hints[-1]) for other in STEP.tasks if other.name != task}
    with sandbox(STEP, answers=others) as copy:
        if stand_in:
            (copy.folder / DJANGO).write_text(STAND_IN)
        with Stage(copy, variant, engine=engine, placeholders={"tick_s": "0.1"}) as stage:
            yield stage


def ask(stage, request, enough):
    """Ask until what came is `enough`, or there is no hope."""
    client = RawClient(stage.port, request)
    client.read_until(lambda: enough(client), lambda: stuck_workers(stage))
    return client


def clock(stage, target="/subscribe", cookie="", headers=()):
    return ask(stage, request_bytes(stage.port, target, cookie, headers), lambda client: api.user(client) is not None)


def board(stage, target="/ws", **headers):
    request = upgrade_request(stage.port, target, headers)
    return ask(stage, request, lambda client: IN in client.heads or api.user(client))


def answer(client):
    """In words."""
    heads = " and then ".join(client.heads) or ("an empty reply" if client.closed else "no answer")
    name = api.user(client)
    return f"{heads} and events for {name}" if name else heads


def refusal(client):
    """In words, too; the body is missing where the backend was to write it."""
    parts = [*client.heads, "'log in first'" if b"log in first" in client.body else "no words"]
    return f"{', '.join(parts)}, and {'' if b'X-Frame-Options' in client.raw else 'none of '}Django's headers"


def expect_decisions(ada, at_the_board, anonymous):
    expect("GET /subscribe as ada", answer(ada), FOR_ADA)
    expect("GET /ws as ada, by WebSocket", answer(at_the_board), IN)
    expect("GET /subscribe without a login", refusal(anonymous), REFUSED)


def test_task_act():
    with (
        stage_for("act", stand_in=True) as stage,
        clock(stage, "/subscribe?ada") as ada,
        board(stage, "/ws?ada") as at_the_board,
        clock(stage) as anonymous,
    ):
        expect_decisions(ada, at_the_board, anonymous)


def test_task_pass():
    with (
        stage_for("pass", stand_in=True) as stage,
        clock(stage, "/subscribe?ada") as ada,
        board(stage, "/ws?ada") as at_the_board,
        clock(stage) as anonymous,
    ):
        expect_decisions(ada, at_the_board, anonymous)
        for name, client in (("sse", ada), ("ws", at_the_board)):
            expect(
                f"the socket of {name}'s client, in /proc", f"held by {holder(stage, client, name)}", f"held by {name}"
            )


def holder(stage, client, backend):
    """The processes that hold the socket of a client that has its answer; the front lets go of one that was taken."""
    workers = {worker.pid: process.name for process in stage.processes for worker in process.workers()}

    def names():
        return [workers[owner.pid] for owner in find_socket_owners(stage.port, client.port, workers)]

    if backend in names():
        wait_for(lambda: names() == [backend], SETTLED_S, "a front without the client's socket")
    return " and ".join(names()) or "no process"


def test_task_quiet():
    with (
        stage_for("quiet", stand_in=True) as stage,
        clock(stage, "/subscribe?ada") as ada,
        clock(stage) as anonymous,
        board(stage) as at_the_board,
    ):
        ada.read_available()
        expect("GET /subscribe as ada", answer(ada), FOR_ADA)
        expect("GET /subscribe without a login", refusal(anonymous), REFUSED)
        expect("GET /ws without a login, by WebSocket", refusal(at_the_board), REFUSED)


def test_task_name():
    with stage_for("name") as stage:
        api.rename(stage, "grace", api.ZOE)
        for name, password in (("ada", "lovelace"), (api.ZOE, "hopper")):
            with clock(stage, cookie=login_cookie(stage.port, name, password)) as client:
                expect(f"GET /subscribe as {name}", answer(client), f"200 OK and events for {name}")


def test_task_server():
    with stage_for("server") as stage, socket.create_server(("127.0.0.1", 0)) as door:
        ada = login_cookie(stage.port, "ada", "lovelace")
        with clock(stage, cookie=ada) as at_the_clock:
            expect("GET /subscribe as ada", answer(at_the_clock), FOR_ADA)
        with board(stage, Cookie=ada) as at_the_board:
            expect("GET /ws as ada, by WebSocket", answer(at_the_board), IN)
        with api.subscribe(stage, ada, door) as misled:
            got = "a call at that address" if api.is_called(door) else answer(misled)
        called = f"GET /subscribe as ada, with the header X-Server: 127.0.0.1:{door.getsockname()[1]}"
        expect(called, got, FOR_ADA)


def test_task_route():
    with stage_for("route") as stage:
        ada = login_cookie(stage.port, "ada", "lovelace")
        with clock(stage, cookie=ada) as at_the_clock, board(stage, Cookie=ada) as at_the_board:
            expect("GET /subscribe as ada", answer(at_the_clock), FOR_ADA)
            expect("GET /ws as ada, by WebSocket", answer(at_the_board), IN)
        with clock(stage) as anonymous:
            expect("GET /subscribe without a login", refusal(anonymous), REFUSED)
