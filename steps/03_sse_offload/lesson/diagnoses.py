"""Clients of an event stream: which are offloaded, by what, to which backend? Rules: a sentence where they match."""

from urllib.parse import unquote

from . import backend_diagnoses
from .observe import ADA, OFFLOAD_HEADER, Seen
from .observe import observe as observe

# --- the front's worker, which should be free


def worker_proxies(seen: Seen) -> str | None:
    worker = seen.busy
    if not worker or worker.may_offload or worker.cores > 1:
        return None
    return (
        f"worker {worker.pid} is busy and stays so: it proxies ada's events from the backend by itself, because it"
        f" has no offload thread. {len(seen.ada.raw)} bytes have reached her. The other requests wait in the listen"
        " queue."
    )


def another_python_thread(seen: Seen) -> str | None:
    worker = seen.busy
    if not worker or worker.may_offload or worker.cores == 1:
        return None
    kind = "greenlets" if seen.snapshot.front.in_greenlets else "threads"
    return (
        f"worker {worker.pid} has {worker.cores} {kind} that run Django, and {len(worker.requests)} of them are busy,"
        f" each proxying one stream by itself. With {worker.cores} clients all are busy and no other request is"
        " served. No offload thread was started."
    )


def django_streams(seen: Seen) -> str | None:
    worker = seen.busy
    if not worker or not worker.may_offload or not seen.ada.events:
        return None
    if worker.wait and worker.wait.end == "backend":  # for its answer to Django's ping, before the request is offloaded
        return None
    besides = "Ada's request was offloaded all the same" if seen.ada.asked else "No request reached the backend"
    return (
        f"worker {worker.pid} is busy inside the view, which generates events without an end, and the other requests"
        f" wait for it. {besides}: an offload thread cannot run Python for the worker."
    )


def django_raises(seen: Seen) -> str | None:
    if not seen.raised:
        return None
    return f"ada got {seen.ada.status or 'an empty reply'!r}. Django's log ends with: {seen.raised}"


# --- anonymous clients, which Django refuses and the front must not offload


def anonymous_gets_stream(seen: Seen) -> str | None:
    if not (seen.anonymous.asked and seen.anonymous.events):
        return None
    return (
        f"an anonymous client was offloaded and gets tickets: the first is for {seen.anonymous.called!r}. Django has"
        " written that name into the offload header, and the front takes any name for an authorisation."
    )


def anonymous_is_offloaded(seen: Seen) -> str | None:
    if not seen.anonymous.asked or seen.anonymous.events:
        return None
    return (
        "Django refused an anonymous client, and its request was offloaded all the same: the backend answered"
        f" {seen.anonymous.status!r}. Django's refusal stayed in the front, and only the backend's own check kept the"
        " client out. So a route acts on the request, not on Django's authorisation."
    )


def request_header_offloads(seen: Seen) -> str | None:
    if seen.anonymous.asked or not seen.forger.asked:
        return None
    return (
        "an anonymous client that sends 'Content-Type: text/event-stream' was offloaded although Django refused it;"
        " without that header it was not. So a route acts on what the client sent. Ada, who is authorised, got"
        f" {seen.ada.status or 'nothing'!r} and {len(seen.ada.events)} tickets."
    )


def anonymous_is_redirected(seen: Seen) -> str | None:
    if not seen.anonymous.status.startswith("30"):
        return None
    where = next((line for line in seen.anonymous.head.split("\r\n") if line.lower().startswith("location:")), "")
    return (
        f"an anonymous client gets {seen.anonymous.status!r} and {where!r}. An EventSource follows the redirect, gets a"
        " page instead of events, and gives up without a message."
    )


def refusal_without_headers(seen: Seen) -> str | None:
    if seen.anonymous.heads or not seen.anonymous.raw or seen.anonymous.asked:
        return None
    return (
        f"all that an anonymous client gets is {seen.anonymous.raw!r}: Django's refusal without its status line and"
        " headers. They were dropped for every response, not only for those that Django authorised."
    )


# --- ada, who is authorised and does not reach the backend


def offload_header_is_left(seen: Seen) -> str | None:
    if seen.ada.asked or not seen.ada.offload_header:
        return None
    return (
        f"ada got Django's own {seen.ada.status!r}, and with it the offload header, which is for the front only:"
        f" {seen.ada.offload_header!r}. Nothing read it, so no route acted. {never_asked(seen)}"
    )


def no_offload_header(seen: Seen) -> str | None:
    if (
        seen.busy
        or seen.raised
        or not seen.ada.heads
        or seen.ada.asked
        or seen.ada.offload_header
        or seen.offload_header_taken
    ):
        return None
    return (
        f"Django answered ada with {seen.ada.status!r} and without {OFFLOAD_HEADER}: the header is not in her response,"
        " and the front has not removed it either (its log counts no more variables than her request had)."
        f" {never_asked(seen)}"
    )


def no_route_acts(seen: Seen) -> str | None:
    was_asked = seen.ada.asked or seen.anonymous.asked or seen.forger.asked
    if not seen.ada.ended or not seen.offload_header_taken or was_asked or seen.not_reached:
        return None
    return (
        "the offload header was removed from Django's response: the front's log counts one variable more than ada's"
        " request had. But her connection was not offloaded: no route that does so had a condition that was true when"
        f" it was tested. {never_asked(seen)} Ada got {seen.ada.status or 'an empty reply'!r}."
    )


def socket_has_no_listener(seen: Seen) -> str | None:
    if not seen.not_reached or seen.ada.asked:
        return None
    return (
        f"a route tried to offload ada's connection to {seen.not_reached}, where nothing listens. The backend's"
        f" socket is {seen.snapshot.servers[0].address}. {never_asked(seen)} Ada got an empty reply; the front's log"
        " calls it 200."
    )


def never_asked(seen: Seen) -> str:
    return f"No request reached the backend ({seen.app})."


# --- ada, who is offloaded: what she and the backend receive


def two_sets_of_headers(seen: Seen) -> str | None:
    if not seen.ada.asked or seen.ada.heads < 2 or seen.ada.offload_header or seen.anonymous.asked:
        return None
    return (
        f"ada got {seen.ada.heads} status lines, each with headers: Django's and the backend's. The first set to arrive"
        " counts, and the other became the beginning of her stream."
    )


def offload_header_reaches_client(seen: Seen) -> str | None:
    if not seen.ada.asked or not seen.ada.offload_header:
        return None
    return (
        "ada's connection was offloaded, but Django's headers reached her too, and with them the offload header:"
        f" {seen.ada.offload_header!r}. It was read and not removed. In all she got {seen.ada.heads} status lines."
    )


def name_not_found(seen: Seen) -> str | None:
    if not seen.ada.asked or not seen.ada.status.startswith("403") or seen.anonymous.asked:
        return None
    return (
        f"ada's connection was offloaded, and the backend ({seen.app}) refused her: {seen.ada.status!r}, without"
        " Django's headers. It reads her name from a variable that the front has not set; the name must be in"
        " another one."
    )


def variable_of_the_request(seen: Seen) -> str | None:
    settable = [name for name in seen.backend_received if name == "CONTENT_TYPE" or name.startswith("HTTP_")]
    name = next(
        (
            variable
            for variable in settable
            if seen.backend_received[variable] == "text/event-stream" and variable != "HTTP_ACCEPT"
        ),
        None,
    )
    if not name:
        return None
    return (
        f"the backend received {name}=text/event-stream, and ada sent no such header: Django's type was written into"
        " a variable that belongs to the request. A response without a type, as every 304 is, leaves in it what the"
        " client sent, and so an anonymous client can have itself offloaded."
    )


def name_spoilt(seen: Seen) -> str | None:
    name = seen.backend_received.get("X_OFFLOAD")
    if not name or unquote(name) in (ADA, seen.ada_id) or seen.anonymous.asked:
        return None
    by_django = ", which is how Django writes a value that no header can hold" if name.startswith("=?") else ""
    return (
        f"the user is called {ADA!r}, and X_OFFLOAD at the backend is {name!r}{by_django}. Percent-decoded, that is not"
        f" the name. The first ticket is for {seen.ada.called!r}."
    )


def name_not_encoded(seen: Seen) -> str | None:
    if seen.backend_received.get("X_OFFLOAD") != ADA:
        return None
    return (
        f"X_OFFLOAD at the backend is {ADA!r} itself, with bytes beyond ASCII in it: it was not percent-encoded. The"
        f" first ticket is for {seen.ada.called!r}."
    )


def id_sent(seen: Seen) -> str | None:
    name = seen.backend_received.get("X_OFFLOAD")
    if not name or name != seen.ada_id:
        return None
    return (
        f"X_OFFLOAD at the backend is {name!r}: that is the user's id in Django's database, and the name is {ADA!r}."
        f" The first ticket is for {seen.ada.called!r}."
    )


UNTOLD = backend_diagnoses.UNTOLD
RULES = (
    worker_proxies,
    another_python_thread,
    django_streams,
    django_raises,
    anonymous_gets_stream,
    anonymous_is_offloaded,
    request_header_offloads,
    anonymous_is_redirected,
    refusal_without_headers,
    offload_header_is_left,
    no_offload_header,
    no_route_acts,
    socket_has_no_listener,
    two_sets_of_headers,
    offload_header_reaches_client,
    name_not_found,
    variable_of_the_request,
    name_spoilt,
    name_not_encoded,
    id_sent,
    *backend_diagnoses.RULES,
)
