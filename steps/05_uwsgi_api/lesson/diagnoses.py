"""Ada asks for the clock and for the board, and her request names a server, as any request may; then Zoë, whose name is
not ASCII. And a stranger. Whom does the front call, and what does it say of the visitor?"""

import re
import socket
import sqlite3
from contextlib import ExitStack, closing
from dataclasses import dataclass

from offload_lab.clients.raw import IN, RawClient, Received
from offload_lab.clients.session import login_cookie
from offload_lab.clients.sse import request_bytes
from offload_lab.clients.websocket import upgrade_request
from offload_lab.exercises.logs import NOT_REACHED, last_error
from offload_lab.exercises.stuck import stuck
from offload_lab.inspect import Snapshot, take_snapshot
from offload_lab.process.deadlines import LOOPBACK, readable
from offload_lab.stages.stage import Stage
from offload_lab.timeouts import scaled

EVENT = re.compile(rb'data: \{"user": "(.*?)"')
CRASH = re.compile(r"uWSGI process (\d+) got Segmentation Fault.*?\(uwsgi_segfault\+.*?\((\w+)\+", re.DOTALL)
ASKING = ("X-Server", "X-Offload-Server", "X-Backend", "Offload-Server")  # headers that might name a server
ZOE = "Zoë"


@dataclass(frozen=True)
class Seen:
    """`zoe` and `board` (ada, by WebSocket) are None where ada had no event. `door`: what was said to the server that
    ada's request named, None where nobody called it. The logs are those of the front and of the clock."""

    snapshot: Snapshot
    ada: Received
    zoe: Received | None
    board: Received | None
    stranger: Received
    door: bytes | None
    front_log: str
    clock_log: str

    @property
    def empty(self) -> bool:
        """Ada had her yes, and then nothing at all, though the worker lives."""
        return not self.ada.raw and self.ada.closed and self.door is None and not CRASH.search(self.front_log)

    @property
    def tried(self) -> str | None:
        """The address at which the front found nobody."""
        found = NOT_REACHED.search(self.front_log)
        return found[1].strip() if found else None


def observe(stage: Stage) -> Seen:
    """A stranger, ada, and where she got an event, Zoë, and ada at the board."""
    rename(stage, "grace", ZOE)
    ada_cookie = login_cookie(stage.port, "ada", "lovelace")
    zoe = board = None
    with ExitStack() as exits, socket.create_server((LOOPBACK, 0)) as door:
        stranger = exits.enter_context(subscribe(stage))
        ada = exits.enter_context(subscribe(stage, ada_cookie, door))
        snapshot = take_snapshot(stage.step, stage.variant, stage.run)
        if user(ada):
            zoe = exits.enter_context(subscribe(stage, login_cookie(stage.port, ZOE, "hopper")))
            board = exits.enter_context(
                RawClient(stage.port, upgrade_request(stage.port, "/ws", {"Cookie": ada_cookie}))
            )
            board.read_until(lambda: IN in board.heads or user(board) is not None, lambda: stuck(stage))
        ada.read_available()
        told = listen(door) if is_called(door) else None
        logs = [process.log.read_text(errors="replace") for process in (stage.front, stage.process("sse"))]
    return Seen(snapshot, ada, zoe, board, stranger, told, *logs)


def rename(stage: Stage, name: str, new: str) -> None:
    with closing(sqlite3.connect(stage.run / "django.sqlite3", timeout=scaled(20), isolation_level=None)) as database:
        database.execute("UPDATE auth_user SET username = ? WHERE username = ?", [new, name])


def subscribe(stage: Stage, cookie: str = "", door: socket.socket | None = None) -> RawClient:
    """Ask for the clock until it ticks, or there is no hope. `door` is the server that the request names, in every way
    that a careless view might look for."""
    address = "{}:{}".format(*door.getsockname()) if door else ""
    target = f"/subscribe?server={address}" if door else "/subscribe"
    headers = [(name, address) for name in ASKING] if door else []
    caller = RawClient(stage.port, request_bytes(stage.port, target, cookie, headers))
    caller.read_until(lambda: user(caller) is not None, lambda: stuck(stage) or (door and is_called(door)))
    return caller


def user(heard: Received) -> str | None:
    """Whom the first event is for."""
    event = EVENT.search(heard.raw)
    return event[1].decode("unicode_escape") if event else None


def is_called(door: socket.socket) -> bool:
    return readable(door, 0)


def listen(door: socket.socket) -> bytes:
    caller, _ = door.accept()
    with caller:
        caller.settimeout(scaled(1))
        return caller.recv(65536)


# --- rules: words where they match. Between the view and the INI


def flag_not_read(seen: Seen) -> str | None:
    if seen.ada.heads != ["200 OK"] or user(seen.ada) or not seen.ada.closed:
        return None
    return (
        "the view said yes, and ada got Django's own empty '200 OK', headers and all: the front looked for a yes and"
        " saw none. Variable and value have to be the same in the view and in the INI, letter by letter."
    )


def nothing_acts(seen: Seen) -> str | None:
    if not seen.empty or seen.tried is not None or last_error(seen.clock_log):
        return None
    return (
        "the view said yes, Django's headers were kept back for it, and ada got an empty reply: the front called no"
        f" server ({len(seen.snapshot.front.workers[0].offload_tids)} offload threads had nothing to carry), and the"
        " clock was not asked. No line hands over when the yes is there."
    )


def no_address(seen: Seen) -> str | None:
    if not seen.empty or seen.tried != "":
        return None
    return (
        "the front wanted to hand ada over, to a server whose address is empty: the variable in which it looks for one"
        " was set by nobody. She got an empty reply, and the log calls it 200."
    )


def socket_has_no_listener(seen: Seen) -> str | None:
    if not seen.empty or not seen.tried:
        return None
    return (
        f"the front wanted to hand ada over to {seen.tried!r}, where nobody listens: the clock's address is"
        f" {seen.snapshot.servers[0].address}. She got an empty reply, and the log calls it 200."
    )


def client_names_server(seen: Seen) -> str | None:
    if seen.door is None:
        return None
    with_cookie = ", her session's cookie included" if b"HTTP_COOKIE" in seen.door else ""
    return (
        "ada's request named a server, and the front called it: a door that was opened for this look got all that"
        f" uWSGI knows of her{with_cookie}. It would have called any address that the front can reach."
    )


def one_server_for_all(seen: Seen) -> str | None:
    if seen.board is None or not user(seen.board):
        return None
    return (
        "ada got the clock, and when she asked for the board, by WebSocket, she got the clock again"
        f" ({seen.board.heads[0]!r} in place of '{IN}'): the front hands everybody over to the same server, whichever"
        " the view chose."
    )


# --- headers


def refusal_stripped(seen: Seen) -> str | None:
    if seen.stranger.heads or not seen.stranger.raw:
        return None
    return (
        f"a stranger asked for the clock, Django refused, and all that came was {seen.stranger.raw!r}: no status line"
        " and no headers. They were kept back for a path, and a path is the same whether the answer is yes or no."
    )


def anonymous_is_offloaded(seen: Seen) -> str | None:
    if seen.stranger.heads != ["403 Forbidden"] or seen.stranger.body:
        return None
    return (
        "a stranger asked for the clock, and got the headers of Django's 403, and the end of the connection in place"
        " of its words: the front wanted to hand that request over as well, to"
        f" {repr(seen.tried) if seen.tried else 'a server whose address is empty'}."
    )


def two_sets_of_headers(seen: Seen) -> str | None:
    if len(seen.ada.heads) < 2:
        return None
    return (
        f"ada got {len(seen.ada.heads)} heads on one connection, Django's own and the clock's: the second one stands in"
        " the middle of the stream, as if it were a part of it. Nothing kept Django's headers back."
    )


# --- the name


def view_raises(seen: Seen) -> str | None:
    error = last_error(seen.front_log)
    if not error:
        return None
    who = ZOE if seen.zoe and not user(seen.zoe) else "ada"
    heads = (seen.zoe or seen.ada).heads
    return f"{who} got {' '.join(heads) or 'an empty reply'!r} and no event, since the view ended with: {error}"


def clock_raises(seen: Seen) -> str | None:
    error = last_error(seen.clock_log)
    if not seen.empty or not error:
        return None
    return (
        f"ada was handed over, and got an empty reply: the clock's app ended with {error}. What the view said of her"
        " did not get there, or not under the name by which the clock asks for it."
    )


def name_garbled(seen: Seen) -> str | None:
    got = seen.zoe and user(seen.zoe)
    if not got or got == ZOE:
        return None
    return (
        f"ada's events are for {user(seen.ada)!r}, and those of {ZOE!r} are for {got!r}. A variable holds bytes, and"
        " WSGI reads them as Latin-1: only ASCII arrives as it was."
    )


def worker_died(seen: Seen) -> str | None:
    crash = CRASH.search(seen.front_log)
    if not crash:
        return None
    return (
        f"the view ran, and worker {crash[1]} died of a segmentation fault in {crash[2]}: ada got an empty reply, and"
        " the master starts another worker for each visitor who is let in. uwsgi.route() does that on every release"
        " that was tried (unbit/uwsgi #1041); add_var() does not."
    )


RULES = (
    flag_not_read,
    nothing_acts,
    no_address,
    socket_has_no_listener,
    client_names_server,
    one_server_for_all,
    refusal_stripped,
    anonymous_is_offloaded,
    two_sets_of_headers,
    view_raises,
    clock_raises,
    name_garbled,
    worker_died,
)
