"""Visitors of a feed with two backends and one history: who serves them, and what do they have when they come back?"""

import json
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from offload_lab.clients.session import Session
from offload_lab.clients.sse import SseClient
from offload_lab.exercises.logs import last_error
from offload_lab.inspect import Snapshot, take_snapshot
from offload_lab.stages.stage import Stage

from .observe import BACKENDS, ENTRY_ID, PAST, PATIENCE_S, Cut, Heard, come_back, store_of, with_answer, worst_cut

REFUSED = re.compile(r"error routing request to uwsgi server (\S+)")  # the front's words where nobody listens


@dataclass(frozen=True)
class Answer:
    """To a visitor while only the backend of `letter` was there: which one greeted (empty: none), whether an offload
    thread took over, and the socket at which the front knocked and nobody listened."""

    letter: str
    backend: str
    offloaded: bool
    refused: str


@dataclass(frozen=True)
class Seen:
    snapshot: Snapshot
    answers: tuple[Answer, ...]
    heard: Heard
    cut: Cut
    raised: str  # the last error of the first backend


def observe(stage: Stage) -> Seen:
    """Subscribe at either backend; come back while the feed goes on; lose the connection in the worst moment."""
    ada = Session(stage.port)
    ada.log_in()
    snapshot = take_snapshot(stage.step, stage.variant, stage.run)
    answers = []
    for letter in BACKENDS:
        with only(stage, letter):
            answers.append(answer(stage, ada.cookie, letter))
    with suppress(OSError), SseClient(stage.port, stage.step.path, cookie=ada.cookie, timeout_s=PATIENCE_S) as visitor:
        visitor.next()
        snapshot = take_snapshot(stage.step, stage.variant, stage.run)
    with store_of(stage) as store:
        cut = with_answer(stage, worst_cut(stage, store))
        heard = come_back(stage, store)
    return Seen(snapshot, tuple(answers), heard, cut, last_error(stage.process(BACKENDS["a"]).log_tail(60)))


# --- whom Django's letter leads to


@contextmanager
def only(stage: Stage, letter: str) -> Iterator[None]:
    """Nobody but that backend can be reached, so that Django says its letter."""
    hidden = [stage.run / f"{name}.sock" for one, name in BACKENDS.items() if one != letter]
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
    refused = REFUSED.search(log.read_bytes()[known:].decode(errors="replace"))
    return Answer(letter, backend, after.offloaded > before.offloaded, refused[1] if refused else "")


def greeted_by(stage: Stage, cookie: str) -> str:
    """The backend that greets a visitor; empty where none does."""
    try:
        with SseClient(stage.port, stage.step.path, cookie=cookie, timeout_s=PATIENCE_S) as visitor:
            return str(json.loads(visitor.next().data).get("backend", ""))
    except (OSError, ValueError):
        return ""


# --- rules: words where they match


def silent(answers: Iterable[Answer]) -> list[Answer]:
    """Those to whom nobody was even tried."""
    return [one for one in answers if not (one.backend or one.offloaded or one.refused)]


def no_route(seen: Seen) -> str | None:
    if len(silent(seen.answers)) < len(BACKENDS):
        return None
    return (
        f"worker {seen.snapshot.front.workers[0].pid} had Django's yes, kept Django's headers back, and then no route"
        " did anything with the connection, whichever letter Django had said: nothing was offloaded, no socket was"
        " tried, and the client got an empty reply."
    )


def one_letter_without_a_route(seen: Seen) -> str | None:
    left_out = silent(seen.answers)
    if len(left_out) != 1 or any(one.refused for one in seen.answers):
        return None
    [letter] = {one.letter for one in left_out}
    return (
        f"whoever Django gives the letter {letter} gets an empty reply: no route acted on it, nothing was offloaded,"
        f" while the other letter works. As long as both backends run, that is every second visitor, and when only"
        f" {BACKENDS[letter]} is left, everybody."
    )


def socket_has_no_listener(seen: Seen) -> str | None:
    refused = [one for one in seen.answers if one.refused]
    if not refused:
        return None
    one = refused[0]
    return (
        f"only {BACKENDS[one.letter]} was there, Django said {one.letter}, and the front knocked at {one.refused},"
        " where nobody listened. The visitor got an empty reply, and only the front's log knows why."
    )


def past_is_missing(seen: Seen) -> str | None:
    if seen.heard.missing < PAST or not seen.heard.numbers:
        return None
    return (
        f"somebody came back to {backend_of(seen, 'a')} behind {seen.heard.behind}. {seen.heard.said} events have"
        f" come since, and {seen.heard.missing} of them never reached the visitor, all that were said while nobody was"
        " there: nothing was read from the history."
    )


def lost_in_between(seen: Seen) -> str | None:
    if not 0 < seen.heard.missing < PAST:
        return None
    return (
        f"somebody came back to {backend_of(seen, 'a')} behind {seen.heard.behind} and got the past, but"
        f" {seen.heard.missing} that was said while the last of the past was on its way never came: it was too late for"
        " the past, and too early for the visitor's queue."
    )


def sent_twice(seen: Seen) -> str | None:
    if not seen.heard.twice:
        return None
    return (
        f"somebody came back to {backend_of(seen, 'a')} behind {seen.heard.behind}, and {seen.heard.twice} came"
        " twice: said while the past was being read, so in the past and in the visitor's queue as well."
    )


def no_place_named(seen: Seen) -> str | None:
    if not seen.cut.missing or seen.cut.named or not seen.heard.numbers:
        return None
    return (
        f"the stream of {backend_of(seen, 'b')} was cut. A browser that had {seen.cut.had} of its events sends no"
        f" Last-Event-ID when it comes back, since the stream named none, and {seen.cut.missing} of {seen.cut.said}"
        " are lost."
    )


def no_place_in_the_feed(seen: Seen) -> str | None:
    if seen.cut.answer != "reset":
        return None
    return (
        f"the stream of {backend_of(seen, 'b')} was cut, and the browser came back with Last-Event-ID:"
        f" {seen.cut.named}. The feed has no such place: the answer was a reset, as for somebody who was away for too"
        " long."
    )


def place_before_its_event(seen: Seen) -> str | None:
    if not seen.cut.missing or not ENTRY_ID.fullmatch(seen.cut.named):
        return None
    return (
        f"the stream of {backend_of(seen, 'b')} was cut between an id and its event: the browser had {seen.cut.had} of"
        f" {seen.cut.said} events, believed that it had one more, named {seen.cut.named}, and {seen.cut.missing} is"
        " lost."
    )


def place_behind_its_event(seen: Seen) -> str | None:
    if not seen.cut.twice:
        return None
    return (
        f"the stream of {backend_of(seen, 'b')} was cut between an event and its id: the browser had {seen.cut.had} of"
        f" {seen.cut.said} events, named {seen.cut.named or 'none'}, which is an earlier one, and {seen.cut.twice}"
        " comes twice."
    )


def app_raises(seen: Seen) -> str | None:
    if seen.heard.numbers or not seen.raised:
        return None
    return f"whoever is handed over to {backend_of(seen, 'a')} gets no event: the app ended with: {seen.raised}"


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
