"""Clients of a feed with two backends and one history: which backend serves them, what do they get on reconnecting?"""

import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from offload_lab.clients.session import Session
from offload_lab.clients.sse import SseClient
from offload_lab.inspect import Snapshot, take_snapshot
from offload_lab.stages.stage import Stage
from offload_lab.uwsgi.logs import last_error, refused_by

from .observe import BACKENDS, ENTRY_ID, PAST, PATIENCE_S, Cut, Replayed, reconnect, store_of, with_answer, worst_cut


@dataclass(frozen=True)
class Answer:
    """For a client while only the backend of `letter` is reachable: the backend that greeted it (empty: none), whether
    an offload thread took the connection, and the socket that refused the front."""

    letter: str
    backend: str
    offloaded: bool
    refused: str


@dataclass(frozen=True)
class Seen:
    snapshot: Snapshot
    answers: tuple[Answer, ...]
    replayed: Replayed
    cut: Cut
    raised: str  # the last error of the first backend


def observe(stage: Stage) -> Seen:
    """Subscribe at either backend; reconnect while the feed goes on; lose the connection at the worst moment."""
    ada = Session(stage.port)
    ada.log_in()
    snapshot = take_snapshot(stage.step, stage.variant, stage.run)
    answers = []
    for letter in BACKENDS:
        with only(stage, letter):
            answers.append(answer(stage, ada.cookie, letter))
    with suppress(OSError), SseClient(stage.port, stage.step.path, cookie=ada.cookie, timeout_s=PATIENCE_S) as client:
        client.next()
        snapshot = take_snapshot(stage.step, stage.variant, stage.run)
    with store_of(stage) as store:
        cut = with_answer(stage, worst_cut(stage, store))
        replayed = reconnect(stage, store)
    return Seen(snapshot, tuple(answers), replayed, cut, last_error(stage.process(BACKENDS["a"]).log_tail(60)))


# --- the backend for each of Django's letters


@contextmanager
def only(stage: Stage, letter: str) -> Iterator[None]:
    """Only that backend can be reached, so that Django chooses its letter."""
    hidden = [stage.run / f"{name}.sock" for other, name in BACKENDS.items() if other != letter]
    for path in hidden:
        path.rename(path.with_suffix(".away"))
    try:
        yield
    finally:
        for path in hidden:
            path.with_suffix(".away").rename(path)


def answer(stage: Stage, cookie: str, letter: str) -> Answer:
    log = stage.front.log
    known, [before] = len(log.read_bytes()), stage.workers()
    backend = greeted_by(stage, cookie)
    [after] = stage.workers()
    refused = refused_by(log.read_bytes()[known:].decode(errors="replace"))
    return Answer(letter, backend, after.offloaded > before.offloaded, "".join(refused[:1]))


def greeted_by(stage: Stage, cookie: str) -> str:
    """The backend that greets a client; empty where none does."""
    try:
        with SseClient(stage.port, stage.step.path, cookie=cookie, timeout_s=PATIENCE_S) as client:
            return str(json.loads(client.next().data).get("backend", ""))
    except (OSError, ValueError):
        return ""


# --- rules: a sentence where they match


def silent(answers: Iterable[Answer]) -> list[Answer]:
    """Those for which the front tried no socket."""
    return [answer for answer in answers if not (answer.backend or answer.offloaded or answer.refused)]


def no_route(seen: Seen) -> str | None:
    if len(silent(seen.answers)) < len(BACKENDS):
        return None
    return (
        f"worker {seen.snapshot.front.workers[0].pid} had Django's authorisation and dropped Django's headers, and"
        " then no route acted on the connection, whichever letter Django had chosen: nothing was offloaded, no"
        " socket was tried, and the client got an empty reply."
    )


def one_letter_without_a_route(seen: Seen) -> str | None:
    left_out = silent(seen.answers)
    if len(left_out) != 1 or any(answer.refused for answer in seen.answers):
        return None
    [letter] = {answer.letter for answer in left_out}
    return (
        f"a client for which Django chooses the letter {letter} gets an empty reply: no route acted on it, nothing"
        " was offloaded, while the other letter works. As long as both backends run, that is every second client,"
        f" and when only {BACKENDS[letter]} is left, every client."
    )


def socket_has_no_listener(seen: Seen) -> str | None:
    refused = [answer for answer in seen.answers if answer.refused]
    if not refused:
        return None
    answer = refused[0]
    return (
        f"only {BACKENDS[answer.letter]} was reachable, Django chose {answer.letter}, and the front tried"
        f" {answer.refused}, where nothing listens. The client got an empty reply, and only the front's log says why."
    )


def past_is_missing(seen: Seen) -> str | None:
    if seen.replayed.missing < PAST or not seen.replayed.numbers:
        return None
    return (
        f"a client reconnected to {backend_of(seen, 'a')} after {seen.replayed.behind}. {seen.replayed.published}"
        f" events have been published since, and {seen.replayed.missing} of them never reached it, all that were"
        " published while it was away: nothing was read from the history."
    )


def lost_in_between(seen: Seen) -> str | None:
    if not 0 < seen.replayed.missing < PAST:
        return None
    return (
        f"a client reconnected to {backend_of(seen, 'a')} after {seen.replayed.behind} and got the history, but"
        f" {seen.replayed.missing} event that was published while the last of the history was sent never arrived: too"
        " late for the history, and too early for the client's queue."
    )


def sent_twice(seen: Seen) -> str | None:
    if not seen.replayed.twice:
        return None
    return (
        f"a client reconnected to {backend_of(seen, 'a')} after {seen.replayed.behind}, and {seen.replayed.twice}"
        " events arrived twice: published while the history was read, so in the history and in the client's queue as"
        " well."
    )


def no_place_named(seen: Seen) -> str | None:
    if not seen.cut.missing or seen.cut.named or not seen.replayed.numbers:
        return None
    return (
        f"the stream of {backend_of(seen, 'b')} was cut. A browser that had {seen.cut.had} of its events sends no"
        f" Last-Event-ID when it reconnects, since the stream named none, and {seen.cut.missing} of"
        f" {seen.cut.published} are lost."
    )


def no_place_in_the_feed(seen: Seen) -> str | None:
    if seen.cut.answer != "reset":
        return None
    return (
        f"the stream of {backend_of(seen, 'b')} was cut, and the browser reconnected with Last-Event-ID:"
        f" {seen.cut.named}. The feed has no such id: the response was a reset, as for a client that was away for too"
        " long."
    )


def place_before_its_event(seen: Seen) -> str | None:
    if not seen.cut.missing or not ENTRY_ID.fullmatch(seen.cut.named):
        return None
    return (
        f"the stream of {backend_of(seen, 'b')} was cut between an id and its event: the browser had {seen.cut.had}"
        f" of {seen.cut.published} events, believed that it had one more, named {seen.cut.named}, and"
        f" {seen.cut.missing} is lost."
    )


def place_behind_its_event(seen: Seen) -> str | None:
    if not seen.cut.twice:
        return None
    return (
        f"the stream of {backend_of(seen, 'b')} was cut between an event and its id: the browser had {seen.cut.had} of"
        f" {seen.cut.published} events, named {seen.cut.named or 'none'}, which is an earlier one, and {seen.cut.twice}"
        " comes twice."
    )


def app_raises(seen: Seen) -> str | None:
    if seen.replayed.numbers or not seen.raised:
        return None
    return f"a client that is offloaded to {backend_of(seen, 'a')} gets no event: the app ended with: {seen.raised}"


def backend_of(seen: Seen, letter: str) -> str:
    name = BACKENDS[letter]
    pids = [worker.pid for server in seen.snapshot.servers if server.name == name for worker in server.workers]
    return f"{name} (worker {', '.join(map(str, pids))})"


RULES = (
    no_route,
    one_letter_without_a_route,
    socket_has_no_listener,
    past_is_missing,
    lost_in_between,
    sent_twice,
    no_place_named,
    no_place_in_the_feed,
    place_before_its_event,
    place_behind_its_event,
    app_raises,
)
