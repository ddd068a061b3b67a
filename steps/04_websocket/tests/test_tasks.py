"""What each task of this step must do, for any answer: these tests also run against a learner's folder."""

from contextlib import ExitStack, contextmanager

from offload_lab.clients import ping
from offload_lab.clients.raw import IN, RawClient
from offload_lab.clients.session import login_cookie
from offload_lab.clients.websocket import TEXT, frame, upgrade_request
from offload_lab.exercises.expectation import expect
from offload_lab.exercises.hints import answer_in
from offload_lab.exercises.sandbox import sandbox
from offload_lab.exercises.stuck_workers import stuck_workers
from offload_lab.stages import manifest
from offload_lab.stages.stage import Stage

from ..lesson import talk_diagnoses as talk
from ..lesson.messages import texts

STEP = manifest.find("04_websocket")
FRIEND = "https://friend.example"  # in BOARD_ORIGINS
OTHERS = ["https://evil.example", f"{FRIEND}.evil.example", "http://friend.example", "http://127.0.0.1:1", "null"]

DJANGO = "boardproject/wsgi.py"
STAND_IN = '''
"""Django's part without Django: authorises a request with a name in the query, refuses every other."""

from offload_lab.stages.site import with_ping


@with_ping
def application(environ, start_response):
    if name := environ["QUERY_STRING"]:
        start_response("200 OK", [("X-Offload-User", name)])
        return [b""]  # as Django does: then the headers go out, unless they are kept back
    start_response("403 Forbidden", [("X-Frame-Options", "DENY")])
    return [b"log in first"]
'''


@contextmanager
def stage_for(task, stand_in=True):
    """The stage with an answer to `task` alone in it: the other tasks have those of their last hints."""
    others = {other.name: answer_in(other.hints[-1]) for other in STEP.tasks if other.name != task}
    with sandbox(STEP, answers=others) as copy:
        if stand_in:
            (copy.folder / DJANGO).write_text(STAND_IN)
        with (copy.folder / "boardproject/settings.py").open("a") as settings:
            settings.write(f"BOARD_ORIGINS = ['{FRIEND}']\n")
        with Stage(copy, "offload", placeholders={"tick_s": "0.1"}) as stage:
            yield stage


def connect(stage, target, **headers):
    """Request the board, until there is a response, or a worker is seen stuck."""
    client = RawClient(stage.port, upgrade_request(stage.port, target, headers))
    client.read_until(lambda: IN in client.heads, lambda: stuck_workers(stage))
    return client


def answer(stage, client):
    """In words: what the client got, and which worker is busy where that is nothing."""
    if client.raw or client.closed:
        return " and then ".join(client.heads) or "an empty reply"
    busy = [f"the worker of {server.name}.ini {does(worker)}" for server, worker in stuck_workers(stage)]
    return "; ".join(["no answer", *busy])


def does(worker):
    oldest = max(worker.requests, key=lambda request: request.since_s)
    return f"has been busy with {oldest.method} {oldest.path} for {oldest.since_s} s"


def test_task_offload_threads():
    with stage_for("offload_threads") as stage, connect(stage, "/ws?ada") as ada:
        expect("GET /ws as ada", answer(stage, ada), IN)
        expect("GET /ping as another client", ping(stage.port, timeout_s=30).status, 200)
        offloaded = sum(worker.offloaded for worker in stage.workers())
        expect("the front's stats: how many clients are with an offload thread", offloaded, 1)


def test_task_one_board():
    with ExitStack() as exits:
        stage = exits.enter_context(stage_for("one_board"))
        clients = {}
        for name in ("ada", "grace", "joan"):
            clients[name] = exits.enter_context(connect(stage, f"/ws?{name}"))
            others = " and ".join(other for other in clients if other != name)
            called = f"GET /ws as {name}, beside {others}" if others else f"GET /ws as {name}"
            expect(called, answer(stage, clients[name]), IN)
            clients[name].send_and_wait()  # in a thread of its own it is on the board only some time after the 101
        clients["grace"].send(frame(TEXT, b"hello"))
        clients["grace"].read_until(lambda: ("grace", "hello") in texts(clients["grace"]))
        for client in clients.values():
            client.send_and_wait()
        receivers = [name for name, client in clients.items() if ("grace", "hello") in texts(client)]
        expect("'hello' from grace, and asked who heard it", ", ".join(receivers), "ada, grace, joan")


def test_task_route():
    with stage_for("route") as stage, connect(stage, "/ws?ada") as ada, connect(stage, "/ws") as anonymous:
        ada.read_available()
        expect("GET /ws as ada, who has Django's authorisation", answer(stage, ada), IN)
        expect("GET /ws without a login", answer(stage, anonymous), "403 Forbidden")


def test_task_origin():
    with stage_for("origin", stand_in=False) as stage:
        ada, host = login_cookie(stage.port, "ada", "lovelace"), f"127.0.0.1:{stage.port}"
        pages = {f"http://{host}": IN, f"HTTP://{host}": IN, FRIEND: IN}
        pages |= dict.fromkeys([*OTHERS, f"https://{host}", f"http://{host}.evil.example", None], "403 Forbidden")
        for origin, expected in pages.items():
            with connect(stage, "/ws", Cookie=ada, Origin=origin) as page:
                expect(f"GET /ws with ada's cookie, {says(origin)}", answer(stage, page), expected)


def says(origin):
    return f"from a page of {origin}" if origin else "without saying from which page"


def test_task_pieces():
    with stage_for("pieces") as stage, connect(stage, "/ws?ada") as ada, connect(stage, "/ws?grace") as grace:
        cut_off = talk.talk(ada, grace)
        pieces = " + ".join(map(repr, talk.FRAGMENTS))
        called = f"grace's {pieces} in two pieces, ada's {talk.BETWEEN!r} between them, and grace's {talk.AFTER!r}"
        expect(called, listed(texts(ada)[:3]), listed(talk.EXPECTED))
        called = f"{2 * len(talk.HALF):,} characters of grace's, in a message whose end is still to come"
        closed = f"the connection closed with {grace.code}"
        got = {"early": closed, "late": f"{closed}, but only after the end", "never": "them kept, with nothing said"}
        expect(called, got[cut_off], f"the connection closed with {talk.MESSAGE_TOO_BIG}")


def listed(texts):
    return ", ".join(f"{user}: {text[:40]}" for user, text in texts) or "nothing"
