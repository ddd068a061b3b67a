"""Subscribers to an event stream: who is handed over, because of what, and to whom? Rules: words where they match."""

from urllib.parse import unquote

from . import backend_diagnoses
from .observe import ADA, SLIP, Seen
from .observe import observe as observe

# --- the front's worker, which should be free


def worker_carries(seen: Seen) -> str | None:
    worker = seen.busy
    if not worker or worker.may_offload or worker.cores > 1:
        return None
    return (
        f"worker {worker.pid} is busy, and will stay so: by itself it takes ada's events from the app behind, because"
        f" no offload thread stands beside it. {len(seen.ada.raw)} bytes have reached her. The others wait in the"
        " listen queue."
    )


def another_python_thread(seen: Seen) -> str | None:
    worker = seen.busy
    if not worker or worker.may_offload or worker.cores == 1:
        return None
    clerks = "greenlets" if seen.snapshot.front.in_greenlets else "threads"
    return (
        f"worker {worker.pid} has {worker.cores} {clerks} that run Django, and {len(worker.requests)} of them are busy,"
        f" each with one stream that it takes from the app behind by itself. With {worker.cores} visitors the hall is"
        " closed: more clerks at the same counter, and no belt. No offload thread was started."
    )


def django_streams(seen: Seen) -> str | None:
    worker = seen.busy
    if not worker or not worker.offload_tids or not seen.ada.events:  # or it only waits for the backend's ping
        return None
    besides = "Ada was handed over all the same" if seen.ada.asked else "The app behind was never asked"
    return (
        f"worker {worker.pid} is busy inside the view, which makes events without an end, and the others wait for it."
        f" {besides}: no offload thread can take Python off the worker's hands."
    )


def django_raises(seen: Seen) -> str | None:
    if not seen.raised:
        return None
    return f"ada got {seen.ada.status or 'an empty reply'!r}. Django's log ends with: {seen.raised}"


# --- strangers, whom Django should refuse, and the front should believe it


def strangers_get_in(seen: Seen) -> str | None:
    if not (seen.stranger.asked and seen.stranger.events):
        return None
    return (
        f"a stranger without a login was handed over, and gets tickets: the first is for {seen.stranger.called!r}."
        " Django has written that name on the slip, and the front takes any name for a yes."
    )


def strangers_handed_over(seen: Seen) -> str | None:
    if not seen.stranger.asked or seen.stranger.events:
        return None
    return (
        "a stranger whom Django had refused was handed over all the same: the app behind was asked for her and said"
        f" {seen.stranger.status!r}. What Django answered stayed in the front, and only the app behind's own care kept"
        " her out. So a route acts on what she asks for, and not on Django's yes."
    )


def strangers_header_hands_over(seen: Seen) -> str | None:
    if seen.stranger.asked or not seen.forger.asked:
        return None
    return (
        "a stranger who sends 'Content-Type: text/event-stream' was handed over although Django refused her; one who"
        f" does not was not. So a route acts on what the visitor said. Ada, whom Django let in, got"
        f" {seen.ada.status or 'nothing'!r} and {len(seen.ada.events)} tickets."
    )


def stranger_is_sent_elsewhere(seen: Seen) -> str | None:
    if not seen.stranger.status.startswith("30"):
        return None
    where = next((line for line in seen.stranger.head.split("\r\n") if line.lower().startswith("location:")), "")
    return (
        f"a stranger gets {seen.stranger.status!r} and {where!r}. An EventSource follows it, finds a page where it"
        " wanted events, and gives up without a word of what is missing."
    )


def refusal_without_headers(seen: Seen) -> str | None:
    if seen.stranger.heads or not seen.stranger.raw or seen.stranger.asked:
        return None
    return (
        f"all that a stranger gets is {seen.stranger.raw!r}: Django's refusal, without its status line and headers."
        " They were held back for everybody, not only for those whom Django let in."
    )


# --- ada, whom Django lets in, and who does not get to the app behind


def slip_is_left(seen: Seen) -> str | None:
    if seen.ada.asked or not seen.ada.slip:
        return None
    return (
        f"ada got Django's own {seen.ada.status!r}, and in it the slip that was meant for the front: {seen.ada.slip!r}."
        f" Nothing took it out, so no route had anything to act on. {never_asked(seen)}"
    )


def no_slip(seen: Seen) -> str | None:
    if seen.busy or seen.raised or not seen.ada.heads or seen.ada.asked or seen.ada.slip or seen.slip_taken:
        return None
    return (
        f"Django answered ada with {seen.ada.status!r} and wrote no {SLIP}: it is not in what she got, and the front"
        f" has not taken it out either (its log counts no variable more than her request had). {never_asked(seen)}"
    )


def no_route_acts(seen: Seen) -> str | None:
    somebody_was_asked = seen.ada.asked or seen.stranger.asked or seen.forger.asked
    if not seen.ada.ended or not seen.slip_taken or somebody_was_asked or seen.not_reached:
        return None
    return (
        "the slip was taken out of Django's answer: the front's log counts one variable more than ada's request had."
        " But it was not offloaded: no route that does so had a condition that was true when it was asked."
        f" {never_asked(seen)} Ada got {seen.ada.status or 'an empty reply'!r}."
    )


def nobody_listens_there(seen: Seen) -> str | None:
    if not seen.not_reached or seen.ada.asked:
        return None
    return (
        f"a route wanted to hand ada over at {seen.not_reached}, where nobody listens. The socket of the app behind is"
        f" {seen.snapshot.servers[0].address}. {never_asked(seen)} Ada got an empty reply; the front's log"
        " calls it 200."
    )


def never_asked(seen: Seen) -> str:
    return f"The app behind ({seen.app}) was never asked."


# --- ada, handed over, and what the front gives her and says of her


def two_heads(seen: Seen) -> str | None:
    if not seen.ada.asked or seen.ada.heads < 2 or seen.ada.slip or seen.stranger.asked:
        return None
    return (
        f"ada got {seen.ada.heads} status lines, each with headers: Django's and those of the app behind. The first"
        " to arrive count, and the others became the beginning of her stream."
    )


def slip_reaches_the_visitor(seen: Seen) -> str | None:
    if not seen.ada.asked or not seen.ada.slip:
        return None
    return (
        f"ada was handed over, but Django's headers went to her too, and in them the slip: {seen.ada.slip!r}. It was"
        f" read and left where it was. In all she got {seen.ada.heads} status lines."
    )


def name_not_found(seen: Seen) -> str | None:
    if not seen.ada.asked or not seen.ada.status.startswith("403") or seen.stranger.asked:
        return None
    return (
        f"ada was handed over, and the app behind ({seen.app}) refused her: {seen.ada.status!r}, without Django's"
        " headers. It looks for her name in a variable that the front has not set; the name must be in another one."
    )


def variable_of_the_request(seen: Seen) -> str | None:
    settable = [name for name in seen.told if name == "CONTENT_TYPE" or name.startswith("HTTP_")]
    name = next((one for one in settable if seen.told[one] == "text/event-stream" and one != "HTTP_ACCEPT"), None)
    if not name:
        return None
    return (
        f"the app behind was told {name}=text/event-stream, and ada sent no such header: what Django said stands in a"
        " variable that belongs to the request. An answer without a type, as every 304 is, leaves in it what the"
        " visitor sent, and then a stranger hands herself over."
    )


def name_spoilt(seen: Seen) -> str | None:
    name = seen.told.get("X_OFFLOAD")
    if not name or unquote(name) in (ADA, seen.ada_id) or seen.stranger.asked:
        return None
    by_django = ", which is how Django writes a value that no header can hold" if name.startswith("=?") else ""
    return (
        f"the user is called {ADA!r}, and X_OFFLOAD at the backend is {name!r}{by_django}. Percent-decoded, that is not"
        f" the name. The first ticket is for {seen.ada.called!r}."
    )


def name_not_encoded(seen: Seen) -> str | None:
    if seen.told.get("X_OFFLOAD") != ADA:
        return None
    return (
        f"X_OFFLOAD at the backend is {ADA!r} itself, with bytes beyond ASCII in it: it was not percent-encoded. The"
        f" first ticket is for {seen.ada.called!r}."
    )


def id_sent(seen: Seen) -> str | None:
    name = seen.told.get("X_OFFLOAD")
    if not name or name != seen.ada_id:
        return None
    return (
        f"X_OFFLOAD at the backend is {name!r}: that is the user's id in Django's database, and the name is {ADA!r}."
        f" The first ticket is for {seen.ada.called!r}."
    )


RULES = (
    worker_carries,
    another_python_thread,
    django_streams,
    django_raises,
    strangers_get_in,
    strangers_handed_over,
    strangers_header_hands_over,
    stranger_is_sent_elsewhere,
    refusal_without_headers,
    slip_is_left,
    no_slip,
    no_route_acts,
    nobody_listens_there,
    two_heads,
    slip_reaches_the_visitor,
    name_not_found,
    variable_of_the_request,
    name_spoilt,
    name_not_encoded,
    id_sent,
    *backend_diagnoses.RULES,
)
