"""Ada and Grace talk over the board, Grace in pieces: what becomes of half a message, and of one that is too long?"""

from contextlib import ExitStack
from dataclasses import dataclass

from offload_lab.clients.raw import RawClient, Received
from offload_lab.clients.session import login_cookie
from offload_lab.clients.websocket import CONTINUATION, TEXT, frame
from offload_lab.exercises.logs import last_error
from offload_lab.inspect import Snapshot, take_snapshot
from offload_lab.stages.stage import Stage

from .diagnoses import come
from .messages import texts

PIECES, BETWEEN, AFTER = ("my password is ", "secret"), "really", "again"
TOLD = [("ada", BETWEEN), ("grace", "".join(PIECES)), ("grace", AFTER)]  # in this order
HALF = "*" * 40_000  # two of them are more than the board takes in one message
MESSAGE_TOO_BIG = 1009


@dataclass(frozen=True)
class Seen:
    """What ada heard. `cut_off` is when grace was, as `talk` has it, with `code`; `raised`: what the board's app ended
    with."""

    snapshot: Snapshot
    ada: Received
    cut_off: str
    code: int | None
    raised: str

    @property
    def heard(self) -> list[tuple[str, str]]:
        return texts(self.ada)

    @property
    def whole(self) -> bool:
        """All that was not too long came out as what it was."""
        return self.heard[: len(TOLD)] == TOLD


def observe(stage: Stage) -> Seen:
    """Both come in, and talk."""
    with ExitStack() as exits:
        guests = (("ada", "lovelace"), ("grace", "hopper"))
        ada, grace = (exits.enter_context(come(stage, login_cookie(stage.port, *who))) for who in guests)
        snapshot = take_snapshot(stage.step, stage.variant, stage.run)
        cut_off = talk(ada, grace)
        return Seen(snapshot, ada, cut_off, grace.code, last_error(stage.processes[0].log_tail(60)))


def talk(ada: RawClient, grace: RawClient) -> str:
    """Grace says something in two pieces, ada something between them; then Grace something that is too long: when she
    was cut off, "early" (before it was whole), "late" or "never"."""
    grace.send_and_wait(frame(TEXT, PIECES[0].encode(), final=False))
    ada.send_and_wait(frame(TEXT, BETWEEN.encode()))
    grace.send_and_wait(frame(CONTINUATION, PIECES[1].encode()), frame(TEXT, AFTER.encode()))
    ada.read_until(lambda: any(text.endswith(AFTER) for _, text in texts(ada)))
    grace.send_and_wait(frame(TEXT, HALF.encode(), final=False), frame(CONTINUATION, HALF.encode(), final=False))
    if grace.code is not None:
        return "early"
    grace.send_and_wait(frame(CONTINUATION))
    return "never" if grace.code is None else "late"


# --- rules: words where they match


def fragments_posted_separately(seen: Seen) -> str | None:
    if ("grace", PIECES[0]) not in seen.heard:
        return None
    return (
        f"grace had sent {PIECES[0]!r}, marked as the beginning of a message, and ada heard it at once as a message of"
        " its own. Where a message is cut is up to the browser, or to a proxy; it says nothing about what was said."
    )


def fragment_of_another_client(seen: Seen) -> str | None:
    mixed = next((text for user, text in seen.heard if user == "ada" and PIECES[0] in text), None)
    if mixed is None:
        return None
    return (
        f"grace had sent {PIECES[0]!r}, the beginning of a message; then ada said {BETWEEN!r}, and the board told"
        f" everybody {mixed!r} in ada's name. Half a message was kept where all visitors of the process come by."
    )


def posted_again(seen: Seen) -> str | None:
    again = next(
        (text for user, text in seen.heard if user == "grace" and text.endswith(AFTER) and text != AFTER), None
    )
    if again is None or fragment_of_another_client(seen):
        return None
    return (
        f"grace said {AFTER!r} as a message of its own, and ada heard {again!r}: what had been published before was"
        " still there."
    )


def never_published(seen: Seen) -> str | None:
    if seen.heard or seen.raised:
        return None
    return "ada and grace are both in, what they said was read, and neither heard a word: nothing was published."


def no_limit(seen: Seen) -> str | None:
    if not seen.whole or seen.cut_off != "never" or seen.raised:
        return None
    return (
        f"grace sent {2 * len(HALF):,} characters in one message, and was not cut off: the board has kept all of it in"
        " memory, and would keep any more. A visitor with patience takes it all."
    )


def limit_too_late(seen: Seen) -> str | None:
    if not seen.whole or seen.cut_off != "late" or seen.code != MESSAGE_TOO_BIG:
        return None
    return (
        f"grace sent {2 * len(HALF):,} characters of a message that was not finished, and the board kept them. It"
        f" closed with {MESSAGE_TOO_BIG} only when the last piece came: somebody who never sends it is never stopped."
    )


def another_code(seen: Seen) -> str | None:
    if not seen.whole or seen.code in (None, MESSAGE_TOO_BIG):
        return None
    return (
        f"grace's message was too long, and the board closed with {seen.code}: only {MESSAGE_TOO_BIG} tells her browser"
        " that it was the size."
    )


def board_raises(seen: Seen) -> str | None:
    if not seen.raised:
        return None
    return f"a visitor's connection ended in the middle of a message, since the board's app ended with: {seen.raised}"


RULES = (
    fragments_posted_separately,
    fragment_of_another_client,
    posted_again,
    never_published,
    no_limit,
    limit_too_late,
    another_code,
    board_raises,
)
