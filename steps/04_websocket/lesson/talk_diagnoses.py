"""Ada and Grace write to the board, Grace in fragments: what does ada get, and when is Grace disconnected?"""

from contextlib import ExitStack
from dataclasses import dataclass

from offload_lab.clients.raw import RawClient, Received
from offload_lab.clients.session import login_cookie
from offload_lab.clients.websocket import CONTINUATION, TEXT, frame
from offload_lab.inspect import Snapshot, take_snapshot
from offload_lab.stages.stage import Stage
from offload_lab.uwsgi.logs import last_error

from .diagnoses import connect
from .messages import texts

FRAGMENTS, BETWEEN, AFTER = ("my password is ", "secret"), "really", "again"
EXPECTED = [("ada", BETWEEN), ("grace", "".join(FRAGMENTS)), ("grace", AFTER)]  # in this order
HALF = "*" * 40_000  # two of them exceed the limit of one message
MESSAGE_TOO_BIG = 1009


@dataclass(frozen=True)
class Seen:
    """What ada received; `cut_off` and `code` are when and how grace was disconnected (see `talk`); `raised` is the
    backend's last error."""

    snapshot: Snapshot
    ada: Received
    cut_off: str
    code: int | None
    raised: str

    @property
    def ada_texts(self) -> list[tuple[str, str]]:
        return texts(self.ada)

    @property
    def whole(self) -> bool:
        """Every message of allowed length arrived unchanged."""
        return self.ada_texts[: len(EXPECTED)] == EXPECTED


def observe(stage: Stage) -> Seen:
    """Both connect and write."""
    with ExitStack() as exits:
        users = (("ada", "lovelace"), ("grace", "hopper"))
        ada, grace = (exits.enter_context(connect(stage, login_cookie(stage.port, *user))) for user in users)
        snapshot = take_snapshot(stage.step, stage.variant, stage.run)
        cut_off = talk(ada, grace)
        return Seen(snapshot, ada, cut_off, grace.code, last_error(stage.processes[0].log_tail(60)))


def talk(ada: RawClient, grace: RawClient) -> str:
    """Grace sends a message in two fragments, ada one between them; then Grace sends one that is too long.

    Returns when she was disconnected: "early" (before the message was complete), "late" or "never".
    """
    grace.send_and_wait(frame(TEXT, FRAGMENTS[0].encode(), final=False))
    ada.send_and_wait(frame(TEXT, BETWEEN.encode()))
    grace.send_and_wait(frame(CONTINUATION, FRAGMENTS[1].encode()), frame(TEXT, AFTER.encode()))
    ada.read_until(lambda: any(text.endswith(AFTER) for _, text in texts(ada)))
    grace.send_and_wait(frame(TEXT, HALF.encode(), final=False), frame(CONTINUATION, HALF.encode(), final=False))
    if grace.code is not None:
        return "early"
    grace.send_and_wait(frame(CONTINUATION))
    return "never" if grace.code is None else "late"


# --- rules: a sentence where they match


def fragments_posted_separately(seen: Seen) -> str | None:
    if ("grace", FRAGMENTS[0]) not in seen.ada_texts:
        return None
    return (
        f"grace had sent {FRAGMENTS[0]!r}, marked as the beginning of a message, and ada got it at once as a message"
        " of its own. Where a message is cut is up to the browser or a proxy; it has no meaning."
    )


def fragment_of_another_client(seen: Seen) -> str | None:
    mixed = next((text for user, text in seen.ada_texts if user == "ada" and FRAGMENTS[0] in text), None)
    if mixed is None:
        return None
    return (
        f"grace had sent {FRAGMENTS[0]!r}, the beginning of a message; then ada sent {BETWEEN!r}, and the board sent"
        f" all clients {mixed!r} in ada's name. The fragment was kept where all clients of the process share it."
    )


def posted_again(seen: Seen) -> str | None:
    again = next(
        (text for user, text in seen.ada_texts if user == "grace" and text.endswith(AFTER) and text != AFTER), None
    )
    if again is None or fragment_of_another_client(seen):
        return None
    return (
        f"grace sent {AFTER!r} as a message of its own, and ada got {again!r}: what had been posted before was still"
        " there."
    )


def never_published(seen: Seen) -> str | None:
    if seen.ada_texts or seen.raised:
        return None
    return "ada and grace are connected, their messages were read, and neither got one: nothing was posted."


def no_limit(seen: Seen) -> str | None:
    if not seen.whole or seen.cut_off != "never" or seen.raised:
        return None
    return (
        f"grace sent {2 * len(HALF):,} characters in one message, and was not disconnected: the backend keeps all of"
        " it in memory, and would keep any more. One client can use up the memory."
    )


def limit_too_late(seen: Seen) -> str | None:
    if not seen.whole or seen.cut_off != "late" or seen.code != MESSAGE_TOO_BIG:
        return None
    return (
        f"grace sent {2 * len(HALF):,} characters of a message that was not finished, and the backend kept them. It"
        f" closed with {MESSAGE_TOO_BIG} only when the last fragment arrived: a client that never sends it is never"
        " stopped."
    )


def another_code(seen: Seen) -> str | None:
    if not seen.whole or seen.code in (None, MESSAGE_TOO_BIG):
        return None
    return (
        f"grace's message was too long, and the backend closed with {seen.code}: only {MESSAGE_TOO_BIG} tells her"
        " browser that the size was the reason."
    )


def board_raises(seen: Seen) -> str | None:
    if not seen.raised:
        return None
    return f"a connection ended in the middle of a message, since the backend's app ended with: {seen.raised}"


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
