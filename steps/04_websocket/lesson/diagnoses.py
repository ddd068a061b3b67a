"""Ada, Grace and an anonymous client connect to the board: who is connected, who gets whose messages, and why not?"""

import re
from contextlib import ExitStack
from dataclasses import dataclass

from offload_lab.clients.raw import IN, RawClient, Received
from offload_lab.clients.session import login_cookie
from offload_lab.clients.websocket import TEXT, frame, upgrade_request
from offload_lab.exercises.stuck_workers import stuck_workers
from offload_lab.inspect import Snapshot, Worker, take_snapshot
from offload_lab.stages.stage import Stage
from offload_lab.uwsgi.logs import last_error, refused_by

from .messages import texts

NOT_UNDERSTOOD = re.compile(r"(invalid request block size.*|-- unavailable modifier requested.*)")
NO_LOOP = re.compile(r"\*\*\* DANGER \*\*\* (async mode without .*?) !")
ATTEMPTS = 16  # of two processes, both have a client by then: it is chance which of them accepts a connection


@dataclass(frozen=True)
class Seen:
    """`grace` is None unless ada is connected, `anonymous` (no login) while the front's worker is busy. The logs are
    the last lines of the front's and of the backend's."""

    snapshot: Snapshot
    ada: Received
    grace: Received | None
    reached: bool  # whether ada got what grace sent
    anonymous: Received | None
    front_log: str
    backend_log: str

    @property
    def proxying_worker(self) -> Worker | None:
        """The front's worker that is busy with ada's connection, over which nothing has arrived."""
        return None if self.ada.raw else next((worker for worker in self.snapshot.front.workers if worker.busy), None)

    @property
    def board(self) -> Worker:
        return self.snapshot.servers[0].workers[0]

    @property
    def grace_waits(self) -> bool:
        """Ada is connected and grace is not, and the backend has one process."""
        alone = len(self.snapshot.servers[0].workers) == 1
        return self.ada.heads == [IN] and self.grace is not None and not self.grace.raw and alone

    @property
    def nothing_came(self) -> bool:
        """Ada was authorised and got no response of the backend."""
        return self.ada.closed and self.ada.heads in ([], ["200 OK"])


def observe(stage: Stage) -> Seen:
    """Ada connects, then Grace, who sends a message, again while both are at the same one of several backend processes;
    then an anonymous client."""
    adas, graces = login_cookie(stage.port, "ada", "lovelace"), login_cookie(stage.port, "grace", "hopper")
    grace, reached, anonymous = None, False, None
    with ExitStack() as exits:
        ada = exits.enter_context(connect(stage, adas))
        if ada.heads == [IN]:
            attempts = ATTEMPTS if len(stage.processes[0].workers()) > 1 else 1
            for attempt in range(attempts):
                grace = exits.enter_context(connect(stage, graces))
                reached = grace.heads == [IN] and reaches(ada, grace, f"hello {attempt}")
                if not reached:
                    break
        snapshot = take_snapshot(stage.step, stage.variant, stage.run)
        if not any(worker.busy for worker in snapshot.front.workers):
            anonymous = exits.enter_context(connect(stage, ""))
            if IN in anonymous.heads:
                anonymous.send_and_wait()  # a backend that ends here has written why into its log
            ada.read_available()
        logs = [process.log_tail(60) for process in (stage.front, stage.processes[0])]
    return Seen(snapshot, ada, grace, reached, anonymous, *logs)


def reaches(ada: RawClient, grace: RawClient, text: str) -> bool:
    """Whether what grace sends arrives at ada."""
    message = ("grace", text)
    grace.send(frame(TEXT, text.encode()))
    grace.read_until(lambda: message in texts(grace))
    ada.send_and_wait()  # by then it has reached her as well, if it can
    return message in texts(ada)


def connect(stage: Stage, cookie: str, **headers: str | None) -> RawClient:
    """A client that requested the board and has waited for the response."""
    client = RawClient(stage.port, upgrade_request(stage.port, stage.step.path, {"Cookie": cookie or None, **headers}))
    client.read_until(lambda: IN in client.heads, lambda: stuck_workers(stage))
    return client


# --- rules: a sentence where they match. Which process proxies ada's connection?


def worker_proxies(seen: Seen) -> str | None:
    worker, front = seen.proxying_worker, seen.snapshot.front
    if not worker or worker.may_offload or worker.cores > 1:
        return None
    others = f", as would each of the {len(front.workers)}" if len(front.workers) > 1 else ""
    return (
        f"Django authorised ada, and worker {worker.pid} of the front is busy since then: without an offload thread"
        f" it reads from the backend by itself{others}, and serves no other request. It does not pass on what it"
        " reads, so ada is not connected either."
    )


def another_python_thread(seen: Seen) -> str | None:
    worker = seen.proxying_worker
    if not worker or worker.may_offload or worker.cores == 1 or seen.snapshot.front.in_greenlets:
        return None
    return (
        f"worker {worker.pid} of the front has {worker.cores} threads that run Django, and one of them reads from the"
        f" backend for ada, who is still not connected. With {worker.cores} such clients no other request is served:"
        " more threads that run Django only move the limit, and there is no offload thread."
    )


def greenlets_proxy(seen: Seen) -> str | None:
    worker = seen.proxying_worker
    if not worker or worker.may_offload or not seen.snapshot.front.in_greenlets:
        return None
    return (
        f"worker {worker.pid} of the front runs Django in greenlets now, and one of them reads from the backend for"
        " ada. The others can run meanwhile, but it does not pass on what it reads, so ada is not connected. And a"
        f" call that blocks in Django stops all {worker.cores} greenlets. No offload thread was started."
    )


# --- how many connections does the backend serve?


def one_at_a_time(seen: Seen) -> str | None:
    if not seen.grace_waits or seen.board.cores > 1 or seen.board.may_offload:
        return None
    return (
        f"ada is connected, and grace waits: the front offloaded both, but worker {seen.board.pid} of the backend"
        " serves one client at a time, and ada stays. The queue has moved from the front to the backend."
    )


def offload_threads_on_backend(seen: Seen) -> str | None:
    if not seen.grace_waits or not seen.board.may_offload:
        return None
    return (
        f"ada is connected, and grace waits: worker {seen.board.pid} of the backend serves one client at a time. Its"
        " offload threads are idle: they do what needs no Python, and the board is all Python."
    )


def backend_has_no_loop(seen: Seen) -> str | None:
    if not seen.grace_waits or seen.board.cores == 1:
        return None
    warned = NO_LOOP.search(seen.backend_log)
    return (
        f"ada is connected, and grace waits: worker {seen.board.pid} of the backend has {seen.board.cores} cores, but"
        " nothing in it switches to another client while the first one is silent."
        + (f" Its log warns: {warned[1]!r}." if warned else "")
    )


def a_board_each(seen: Seen) -> str | None:
    busy = [str(worker.pid) for worker in seen.snapshot.servers[0].workers if worker.requests]
    if len(busy) < 2 or seen.reached:
        return None
    return (
        f"ada and grace are connected to two processes of the backend ({' and '.join(busy)}), and ada does not get"
        " what grace sends: a board is in the memory of its process, so each process has one of its own."
    )


# --- where does the front offload to?


def nothing_offloads(seen: Seen) -> str | None:
    if not seen.nothing_came or refused_by(seen.front_log) or NOT_UNDERSTOOD.search(seen.backend_log):
        return None
    got = "Django's own empty 200" if seen.ada.heads else "an empty reply, without even Django's headers"
    return (
        f"Django authorised, and ada got {got}: no line of the front offloaded her connection, and no request"
        " reached the backend."
    )


def socket_has_no_listener(seen: Seen) -> str | None:
    tried = refused_by(seen.front_log)
    if not seen.nothing_came or not tried:
        return None
    return (
        f"Django authorised, and ada got an empty reply: the front tried to offload to {tried[0] or 'no address'},"
        f" where nothing listens. The backend listens on {seen.snapshot.servers[0].address}."
    )


def wrong_modifier(seen: Seen) -> str | None:
    logged = NOT_UNDERSTOOD.search(seen.backend_log)
    if not seen.nothing_came or not logged:
        return None
    return (
        "Django authorised, the front offloaded ada's connection, and the backend did not understand it. Its log says:"
        f" {logged[1].strip('- ')!r}. It expects uWSGI's own protocol, and 0, Python's number, for both modifiers."
    )


def two_sets_of_headers(seen: Seen) -> str | None:
    if sorted(seen.ada.heads) != [IN, "200 OK"]:
        return None
    return (
        f"ada got two responses on one connection, {' and then '.join(map(repr, seen.ada.heads))}: Django's, which"
        " was not dropped in time, and the backend's. A browser gives up at a response that is no 101, and cannot"
        " read one inside the frames."
    )


def anonymous_is_offloaded(seen: Seen) -> str | None:
    if not seen.anonymous or IN not in seen.anonymous.heads:
        return None
    error = last_error(seen.backend_log)
    return (
        "the connection of a client that is not logged in was offloaded as well: the backend answered 101"
        + (f", then ended with {error}, since it had received no name." if error else ".")
        + " The front's condition is the path, which is the same whether Django authorises or refuses."
    )


RULES = (
    worker_proxies,
    another_python_thread,
    greenlets_proxy,
    one_at_a_time,
    offload_threads_on_backend,
    backend_has_no_loop,
    a_board_each,
    nothing_offloads,
    socket_has_no_listener,
    wrong_modifier,
    two_sets_of_headers,
    anonymous_is_offloaded,
)
