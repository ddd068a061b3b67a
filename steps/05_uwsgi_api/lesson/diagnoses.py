"""Ada requests the clock and the board, and names a server of her own; then Zoë, whose name is not ASCII, and an
anonymous client. Which server does the front connect to, and what does it send there?"""

import re
import socket
import sqlite3
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass

from offload_lab.clients.raw import IN, RawClient, Received
from offload_lab.clients.session import login_cookie
from offload_lab.clients.sse import request_bytes
from offload_lab.clients.websocket import upgrade_request
from offload_lab.exercises.stuck_workers import stuck_workers
from offload_lab.inspect import Snapshot, take_snapshot
from offload_lab.inspect.socket_owners import SocketOwner, find_socket_owners
from offload_lab.process.deadlines import LOOPBACK, readable
from offload_lab.process.polling import wait_for
from offload_lab.stages.stage import Stage
from offload_lab.timeouts import scaled
from offload_lab.uwsgi.logs import first_crash, last_error, refused_by

EVENT = re.compile(rb'data: \{"user": "(.*?)"')
ASKING = ("X-Server", "X-Offload-Server", "X-Backend", "Offload-Server")  # headers that might name a server
ZOE = "Zoë"
GIVEN_AWAY_S = 2.0  # the backend has the socket before it answers, and the front closes its own a moment later


@dataclass(frozen=True)
class Seen:
    """`zoe` and `board` (ada, by WebSocket) are None where ada got no event. `sent_to_trap`: what the server that
    ada's request named received, None where nothing connected to it. `kept_by_front`: the front's process that still
    has ada's socket where the backend was to get it. The logs are those of the front and of the clock."""

    snapshot: Snapshot
    ada: Received
    zoe: Received | None
    board: Received | None
    anonymous: Received
    sent_to_trap: bytes | None
    kept_by_front: int | None
    front_log: str
    clock_log: str

    @property
    def empty(self) -> bool:
        """Ada was authorised and got nothing at all, though the worker lives."""
        return not self.ada.raw and self.ada.closed and self.sent_to_trap is None and not first_crash(self.front_log)

    @property
    def tried(self) -> str | None:
        """The address at which the front found no listener."""
        return next(iter(refused_by(self.front_log)), None)


def observe(stage: Stage) -> Seen:
    """An anonymous client and ada subscribe; where she gets an event, so does Zoë, and ada opens the board."""
    rename(stage, "grace", ZOE)
    ada_cookie = login_cookie(stage.port, "ada", "lovelace")
    zoe = board = None
    with ExitStack() as exits, socket.create_server((LOOPBACK, 0)) as trap:
        anonymous = exits.enter_context(subscribe(stage))
        ada = exits.enter_context(subscribe(stage, ada_cookie, trap))
        snapshot = take_snapshot(stage.step, stage.variant, stage.run)
        if user(ada):
            zoe = exits.enter_context(subscribe(stage, login_cookie(stage.port, ZOE, "hopper")))
            board = exits.enter_context(
                RawClient(stage.port, upgrade_request(stage.port, "/ws", {"Cookie": ada_cookie}))
            )
            board.read_until(lambda: IN in board.heads or user(board) is not None, lambda: stuck_workers(stage))
        ada.read_available()
        sent_to_trap = listen(trap) if is_called(trap) else None
        kept_by_front = keeper(stage, ada) if stage.variant.name == "pass" and user(ada) else None
        logs = [process.log.read_text(errors="replace") for process in (stage.front, stage.process("sse"))]
    return Seen(snapshot, ada, zoe, board, anonymous, sent_to_trap, kept_by_front, *logs)


def rename(stage: Stage, name: str, new: str) -> None:
    with closing(sqlite3.connect(stage.run / "django.sqlite3", timeout=scaled(20), isolation_level=None)) as database:
        database.execute("UPDATE auth_user SET username = ? WHERE username = ?", [new, name])


def subscribe(stage: Stage, cookie: str = "", trap: socket.socket | None = None) -> RawClient:
    """Request the clock, until an event or an end. `trap` is the server that the request names, in every way that a
    careless view might read."""
    address = "{}:{}".format(*trap.getsockname()) if trap else ""
    target = f"/subscribe?server={address}" if trap else "/subscribe"
    headers = [(name, address) for name in ASKING] if trap else []
    client = RawClient(stage.port, request_bytes(stage.port, target, cookie, headers))
    client.read_until(lambda: user(client) is not None, lambda: stuck_workers(stage) or (trap and is_called(trap)))
    return client


def user(received: Received) -> str | None:
    """The user in the first event."""
    event = EVENT.search(received.raw)
    return event[1].decode("unicode_escape") if event else None


def keeper(stage: Stage, client: RawClient) -> int | None:
    """The front's process that has the client's socket, and does not give it away."""
    owners: list[SocketOwner] = []

    def given_away() -> bool:
        owners[:] = find_socket_owners(stage.port, client.port, stage.front.pids())
        return not owners

    with suppress(TimeoutError):
        wait_for(given_away, GIVEN_AWAY_S, "a front without the client's socket")
    return owners[0].pid if owners else None


def is_called(trap: socket.socket) -> bool:
    return readable(trap, 0)


def listen(trap: socket.socket) -> bytes:
    caller, _ = trap.accept()
    with caller:
        caller.settimeout(scaled(1))
        return caller.recv(65536)


# --- rules: a sentence where they match. Between the view and the INI


def flag_not_read(seen: Seen) -> str | None:
    if seen.ada.heads != ["200 OK"] or user(seen.ada) or not seen.ada.closed:
        return None
    return (
        "ada got Django's own empty '200 OK', headers and all: the front's routes did not find what they ask for. That"
        " is a variable that uwsgi.add_var() sets, with the same name and value in the view and in the INI."
    )


def nothing_acts(seen: Seen) -> str | None:
    if not seen.empty or seen.tried is not None or last_error(seen.clock_log):
        return None
    return (
        "the view authorised, Django's headers were kept back for it, and ada got an empty reply: the front called no"
        " server, and the clock was not asked. No route that offloads acted."
    )


def no_address(seen: Seen) -> str | None:
    if not seen.empty or seen.tried != "":
        return None
    return (
        "the front tried to offload ada's connection to a server whose address is empty: the variable from which it"
        " takes the address is not set. She got an empty reply, and the log calls it 200."
    )


def socket_has_no_listener(seen: Seen) -> str | None:
    if not seen.empty or not seen.tried:
        return None
    return (
        f"the front tried to offload ada's connection to {seen.tried!r}, where nothing listens: the clock's address is"
        f" {seen.snapshot.servers[0].address}. She got an empty reply, and the log calls it 200."
    )


def client_names_server(seen: Seen) -> str | None:
    if seen.sent_to_trap is None:
        return None
    with_cookie = ", her session's cookie included" if b"HTTP_COOKIE" in seen.sent_to_trap else ""
    return (
        "ada's request named a server, and the front connected to it: a listener that was opened for this check"
        f" received all that uWSGI knows of her{with_cookie}. It would have connected to any address that the front"
        " can reach."
    )


def one_server_for_all(seen: Seen) -> str | None:
    if seen.board is None or not user(seen.board):
        return None
    return (
        "ada got the clock, and when she requested the board, by WebSocket, she got the clock again"
        f" ({seen.board.heads[0]!r} instead of '{IN}'): the front offloads every connection to the same backend,"
        " whichever the view chose."
    )


# --- headers


def refusal_stripped(seen: Seen) -> str | None:
    if seen.anonymous.heads or not seen.anonymous.raw:
        return None
    return (
        f"an anonymous client requested the clock, Django refused, and all that arrived was {seen.anonymous.raw!r}:"
        " no status line and no headers. They were dropped for a path, which is the same whether Django authorises"
        " or refuses."
    )


def anonymous_is_offloaded(seen: Seen) -> str | None:
    if seen.anonymous.heads != ["403 Forbidden"] or seen.anonymous.body:
        return None
    return (
        "an anonymous client requested the clock, and got the headers of Django's 403, and the end of the connection"
        " instead of its body: the front tried to offload that request as well, to"
        f" {repr(seen.tried) if seen.tried else 'a server whose address is empty'}."
    )


def two_sets_of_headers(seen: Seen) -> str | None:
    if len(seen.ada.heads) < 2:
        return None
    return (
        f"ada got {len(seen.ada.heads)} sets of headers on one connection, Django's and the clock's: the second one"
        " is in the middle of the stream, as if it were a part of it. Nothing dropped Django's headers."
    )


def front_keeps_the_socket(seen: Seen) -> str | None:
    if not seen.kept_by_front:
        return None
    return (
        f"ada gets her events, and the front still has her socket, in process {seen.kept_by_front}: it copies them, so"
        " her stream ends with the front. The backend was to get the socket itself."
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
        f"ada's connection was offloaded, and she got an empty reply: the clock's app ended with {error}. Her name"
        " did not arrive, or not in the variable from which the clock reads it."
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
    crash = first_crash(seen.front_log)
    if not crash:
        return None
    return (
        f"the view ran, and worker {crash.pid} died of a segmentation fault in {crash.function}: ada got an empty"
        " reply, and the master starts another worker for each client that is authorised. uwsgi.route() does that on"
        " every release that was tried (unbit/uwsgi #1041); add_var() does not."
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
    front_keeps_the_socket,
    view_raises,
    clock_raises,
    name_garbled,
    worker_died,
)
