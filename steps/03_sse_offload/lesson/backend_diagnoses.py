"""The app behind, to which subscribers were handed over: what it says, and for how many it has time."""

from urllib.parse import unquote

from offload_lab.inspect.threads import Blocked

from .observe import ADA, Seen

# --- what it says


def no_head(seen: Seen) -> str | None:
    if not seen.ada.asked or seen.ada.heads or not seen.ada.raw:
        return None
    return (
        f"what ada gets begins with {seen.ada.raw[:13]!r}: no status line and no headers, which no browser takes for an"
        f" answer. Django's stayed in the front, and the app behind ({seen.app}) sent none before its first ticket."
    )


def name_still_encoded(seen: Seen) -> str | None:
    slip = seen.told.get("X_OFFLOAD", "")
    if slip == ADA or unquote(slip) != ADA or not seen.ada.heads or seen.ada.called == ADA:
        return None
    return (
        f"the app behind ({seen.app}) was told X_OFFLOAD={slip}, and its first ticket is for {seen.ada.called!r}. The"
        f" visitor is called {ADA!r}: the name travels percent-encoded, and nobody has decoded it."
    )


def app_behind_raises(seen: Seen) -> str | None:
    if not seen.raised_behind:
        return None
    return (
        f"ada was handed over and got {seen.ada.status or 'no status line'!r} and {len(seen.ada.events)} tickets. The"
        f" log of the app behind ({seen.app}) ends with: {seen.raised_behind}"
    )


# --- for how many it has time


def one_at_a_time(seen: Seen) -> str | None:
    if not seen.ada.events or all(seen.heard) or seen.behind.cores > 1:
        return None
    return (
        f"{len(seen.heard)} visitors were handed over, and {sum(seen.heard)} of them hears anything: the app behind"
        f" ({seen.app}) has one core, which is room for one request, and this one does not end. The others are"
        " connected to its socket, and wait."
    )


def thread_per_stream(seen: Seen) -> str | None:
    if not 1 < seen.behind.cores <= len(seen.threads):
        return None
    return (
        f"the app behind ({seen.app}) has {len(seen.threads)} threads, and each stream takes one of them for as long as"
        f" it is open: visitor number {seen.behind.cores + 1} will hear nothing. Clerks again, only in the other room."
    )


def sleeps_with_everybody(seen: Seen) -> str | None:
    if seen.behind.cores <= len(seen.threads) or seen.threads.get(seen.behind.pid) != Blocked():
        return None
    return (
        f"the app behind ({seen.app}) has room for {seen.behind.cores} streams in one thread, and that thread sleeps:"
        f" it waits for no connection, only for time to pass. {sum(seen.heard)} of {len(seen.heard)} visitors hears"
        " anything. Python's own sleep() knows no greenlets, and who calls it stops them all."
    )


def worker_behind_dies(seen: Seen) -> str | None:
    if not seen.deaths:
        return None
    return (
        f"there is no backend: the worker of {seen.snapshot.servers[0].name}.ini has died {len(seen.deaths)} times, and"
        f" its master starts another one each time. The last thing each says is {seen.deaths[-1]!r}."
    )


RULES = (
    no_head,
    name_still_encoded,
    app_behind_raises,
    one_at_a_time,
    thread_per_stream,
    sleeps_with_everybody,
    worker_behind_dies,
)
