"""The backend of offloaded streams: what it sends, and how many streams it serves at once."""

from urllib.parse import unquote

from offload_lab.inspect.threads import Blocked

from .observe import ADA, Seen

# --- what it sends


def no_response_headers(seen: Seen) -> str | None:
    if not seen.ada.asked or seen.ada.heads or not seen.ada.raw:
        return None
    return (
        f"ada's response begins with {seen.ada.raw[:13]!r}: no status line and no headers, which no browser accepts."
        f" The front dropped Django's headers, and the backend ({seen.app}) sent none before its first ticket."
    )


def name_still_encoded(seen: Seen) -> str | None:
    sent = seen.backend_received.get("X_OFFLOAD", "")
    if sent == ADA or unquote(sent) != ADA or not seen.ada.heads or seen.ada.called == ADA:
        return None
    return (
        f"the backend ({seen.app}) received X_OFFLOAD={sent}, and its first ticket is for {seen.ada.called!r}. The"
        f" user's name is {ADA!r}: it travels percent-encoded, and the backend has not decoded it."
    )


def backend_raises(seen: Seen) -> str | None:
    if not seen.backend_error:
        return None
    return (
        f"ada's connection was offloaded, and she got {seen.ada.status or 'no status line'!r} and"
        f" {len(seen.ada.events)} tickets. The log of the backend ({seen.app}) ends with: {seen.backend_error}"
    )


# --- how many it serves at once


def one_at_a_time(seen: Seen) -> str | None:
    if not seen.ada.events or all(seen.got_ticket) or seen.backend.cores > 1:
        return None
    return (
        f"{len(seen.got_ticket)} connections were offloaded, and {sum(seen.got_ticket)} of them gets events: the"
        f" backend ({seen.app}) has one core, which serves one request, and this one does not end. The others are"
        " connected to its socket and wait."
    )


def thread_per_stream(seen: Seen) -> str | None:
    if not 1 < seen.backend.cores <= seen.backend_threads:
        return None
    return (
        f"the backend ({seen.app}) has {seen.backend_threads} threads, and each stream takes one of them for as long as"
        f" it is open: client number {seen.backend.cores + 1} will get no event. The limit has moved from the front"
        " to the backend."
    )


def sleep_blocks_all_streams(seen: Seen) -> str | None:
    name, workers = seen.snapshot.servers[0].name, seen.snapshot.servers[0].workers
    asleep = next((worker.pid for worker in workers if seen.threads.get(worker.pid) == Blocked()), None)
    if asleep is None or seen.backend.cores <= seen.backend_threads:
        return None
    return (
        f"the backend ({name}, worker {asleep}) has room for {seen.backend.cores} streams in one thread, and that"
        f" thread sleeps: it waits for no connection, only for time to pass. {sum(seen.got_ticket)} of"
        f" {len(seen.got_ticket)} clients gets events. Python's own sleep() does not switch greenlets: one"
        " that calls it stops them all."
    )


def backend_worker_dies(seen: Seen) -> str | None:
    if not seen.deaths:
        return None
    return (
        f"there is no backend: the worker of {seen.snapshot.servers[0].name}.ini has died {len(seen.deaths)} times,"
        f" and its master starts another one each time. Its last log line is {seen.deaths[-1]!r}."
    )


RULES = (
    no_response_headers,
    name_still_encoded,
    backend_raises,
    one_at_a_time,
    thread_per_stream,
    sleep_blocks_all_streams,
    backend_worker_dies,
)
UNTOLD = {sleep_blocks_all_streams: "whether the backend's thread sleeps, or waits for connections"}
