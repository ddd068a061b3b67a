"""Ada comes to the board, then Grace, then a stranger: who gets in, who hears whom, and what is in the way?"""

import re
from contextlib import ExitStack
from dataclasses import dataclass

from offload_lab.clients.raw import IN, RawClient, Received
from offload_lab.clients.session import login_cookie
from offload_lab.clients.websocket import TEXT, frame, upgrade_request
from offload_lab.exercises.logs import NOT_REACHED, last_error
from offload_lab.exercises.stuck import stuck
from offload_lab.inspect import Snapshot, Worker, take_snapshot
from offload_lab.stages.stage import Stage

from .messages import texts

NOT_UNDERSTOOD = re.compile(r"(invalid request block size.*|-- unavailable modifier requested.*)")
NO_LOOP = re.compile(r"\*\*\* DANGER \*\*\* (async mode without .*?) !")
HELLO = ("grace", "hello")


@dataclass(frozen=True)
class Seen:
    """`grace` is None while ada is not in, `stranger` (no login) while the front serves nobody. The logs are the last
    lines of the front's and of the board's."""

    snapshot: Snapshot
    ada: Received
    grace: Received | None
    stranger: Received | None
    front_log: str
    board_log: str

    @property
    def carrier(self) -> Worker | None:
        """The front's worker that is busy with ada, who has heard nothing."""
        return None if self.ada.raw else next((one for one in self.snapshot.front.workers if one.busy), None)

    @property
    def board(self) -> Worker:
        return self.snapshot.servers[0].workers[0]

    @property
    def grace_waits(self) -> bool:
        """Ada is in, and grace is not, at a board of one process."""
        alone = len(self.snapshot.servers[0].workers) == 1
        return self.ada.heads == [IN] and self.grace is not None and not self.grace.raw and alone

    @property
    def nothing_came(self) -> bool:
        """Ada had her yes, and then no board."""
        return self.ada.closed and self.ada.heads in ([], ["200 OK"])


def observe(stage: Stage) -> Seen:
    """Ada comes, then Grace, who says hello; then a stranger."""
    adas, graces = login_cookie(stage.port, "ada", "lovelace"), login_cookie(stage.port, "grace", "hopper")
    grace, stranger = None, None
    with ExitStack() as exits:
        ada = exits.enter_context(come(stage, adas))
        if ada.heads == [IN]:
            grace = exits.enter_context(come(stage, graces))
            if grace.heads == [IN]:
                grace.say(frame(TEXT, b"hello"))
                grace.read_until(lambda: HELLO in texts(grace))
                ada.send_and_wait()  # by then she has heard it as well, if she can
        snapshot = take_snapshot(stage.step, stage.variant, stage.run)
        if not any(worker.busy for worker in snapshot.front.workers):
            stranger = exits.enter_context(come(stage, ""))
            ada.read_available()
        logs = [process.log_tail(60) for process in (stage.front, stage.processes[0])]
    return Seen(snapshot, ada, grace, stranger, *logs)


def come(stage: Stage, cookie: str, **headers: str | None) -> RawClient:
    """Somebody who asks for the board, and has waited for the answer."""
    caller = RawClient(stage.port, upgrade_request(stage.port, stage.step.path, {"Cookie": cookie or None, **headers}))
    caller.read_until(lambda: IN in caller.heads, lambda: stuck(stage))
    return caller


# --- rules: words where they match. Who carries ada?


def worker_proxies(seen: Seen) -> str | None:
    worker, front = seen.carrier, seen.snapshot.front
    if not worker or worker.may_offload or worker.cores > 1:
        return None
    others = f", as would each of the {len(front.workers)}" if len(front.workers) > 1 else ""
    return (
        f"Django let ada in, and worker {worker.pid} of the front is busy since: without an offload thread it reads"
        f" from the board by itself{others}, and has time for nobody. What it reads it does not pass on, so ada is not"
        " in either."
    )


def another_python_thread(seen: Seen) -> str | None:
    worker = seen.carrier
    if not worker or worker.may_offload or worker.cores == 1 or seen.snapshot.front.in_greenlets:
        return None
    return (
        f"worker {worker.pid} of the front has {worker.cores} threads that run Django, and one of them reads from the"
        f" board for ada, who is still not in. {worker.cores} visitors like her, and nobody is served: these are more"
        " clerks at the same counter, and there is no offload thread."
    )


def greenlets_proxy(seen: Seen) -> str | None:
    worker = seen.carrier
    if not worker or worker.may_offload or not seen.snapshot.front.in_greenlets:
        return None
    return (
        f"worker {worker.pid} of the front runs Django in greenlets now, and one of them reads from the board for ada."
        " That leaves time for others, but what it reads it does not pass on, so ada is not in. And whatever blocks in"
        f" Django stops all {worker.cores} greenlets. No offload thread was started."
    )


# --- what is the board's process?


def one_at_a_time(seen: Seen) -> str | None:
    if not seen.grace_waits or seen.board.cores > 1 or seen.board.may_offload:
        return None
    return (
        f"ada is in, and grace waits: the front handed both over, but worker {seen.board.pid} of the board serves one"
        " visitor at a time, and ada stays. The queue has moved from Django's counter to the board's."
    )


def offload_threads_on_backend(seen: Seen) -> str | None:
    threads = len(seen.board.offload_tids)
    if not seen.grace_waits or not threads:
        return None
    return (
        f"ada is in, and grace waits: worker {seen.board.pid} of the board serves one visitor at a time. Its offload"
        f" threads, {threads} of them, are idle: they carry what needs no Python, and the board is all Python."
    )


def backend_has_no_loop(seen: Seen) -> str | None:
    if not seen.grace_waits or seen.board.cores == 1:
        return None
    warned = NO_LOOP.search(seen.board_log)
    return (
        f"ada is in, and grace waits: worker {seen.board.pid} of the board counts room for {seen.board.cores} requests,"
        " but nothing in it goes on to another visitor while the first has nothing to say."
        + (f" Its log warns: {warned[1]!r}." if warned else "")
    )


def a_board_each(seen: Seen) -> str | None:
    busy = [str(worker.pid) for worker in seen.snapshot.servers[0].workers if worker.requests]
    if len(busy) < 2 or HELLO in texts(seen.ada):
        return None
    return (
        f"ada and grace are both in, with two processes of the board ({' and '.join(busy)}), and ada does not hear what"
        " grace says: a board is in the memory of its process, so each process has one of its own."
    )


# --- where does the front's yes lead?


def nothing_offloads(seen: Seen) -> str | None:
    if not seen.nothing_came or NOT_REACHED.search(seen.front_log) or NOT_UNDERSTOOD.search(seen.board_log):
        return None
    got = "Django's own empty 200" if seen.ada.heads else "an empty reply, without even Django's headers"
    threads = len(seen.snapshot.front.workers[0].offload_tids)
    return (
        f"Django said yes, and ada got {got}: no line of the front handed her connection over. Its {threads} offload"
        " threads had nothing to carry, and nobody asked the board."
    )


def socket_has_no_listener(seen: Seen) -> str | None:
    tried = NOT_REACHED.search(seen.front_log)
    if not seen.nothing_came or not tried:
        return None
    return (
        f"Django said yes, and ada got an empty reply: the front wanted to hand her over to {tried[1] or 'no address'},"
        f" where nobody listens. The board listens on {seen.snapshot.servers[0].address}."
    )


def wrong_modifier(seen: Seen) -> str | None:
    said = NOT_UNDERSTOOD.search(seen.board_log)
    if not seen.nothing_came or not said:
        return None
    return (
        "Django said yes, the front handed ada over, and the board did not understand it. Its log says:"
        f" {said[1].strip('- ')!r}. It expects uWSGI's own protocol, and 0, Python's number, for both modifiers."
    )


def two_sets_of_headers(seen: Seen) -> str | None:
    if sorted(seen.ada.heads) != [IN, "200 OK"]:
        return None
    return (
        f"ada got two answers on one connection, {' and then '.join(map(repr, seen.ada.heads))}: Django's, which nobody"
        " kept back in time, and the board's. A browser gives up at an answer that is no 101, and cannot read one that"
        " comes in the middle of a conversation."
    )


def anonymous_is_offloaded(seen: Seen) -> str | None:
    if not seen.stranger or IN not in seen.stranger.heads:
        return None
    error = last_error(seen.board_log)
    return (
        "somebody who is not logged in was handed over as well: the board got the request and answered 101"
        + (f", then ended with {error}, since nobody had told it a name." if error else ".")
        + " The front asked for the path, which is the same whether Django says yes or no."
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
