"""The app names a file in its header X-Sendfile, and uWSGI sends it: which step of that was missing?"""

import http.client
from contextlib import suppress
from dataclasses import dataclass

from offload_lab.clients import fetch
from offload_lab.exercises import slow_download
from offload_lab.stages.stage import Stage

HEADER, VARIABLE = "X-Sendfile", "X_SENDFILE"
SMALL = "hello.txt"
# for this request alone the routes end before a file is sent, and report the variable's value
PROBE = f"name={SMALL}&routes=off"
SECRET = b"not for clients"
REPORTED = "X-Lab-Reported"
REFUSED_BY_UWSGI = "refused by uWSGI"


def routes_off(variable: str) -> tuple[str, ...]:
    """Options that answer PROBE with the value of `variable` in place of the file."""
    condition = "equal:${QUERY_STRING};" + PROBE
    rules = (f"{condition} addheader:{REPORTED}: ${{{variable}}}", f"{condition} last:")
    return tuple(word for rule in rules for word in ("--response-route-if", rule))


OPTIONS = routes_off(VARIABLE)
OUTSIDE = {
    "../secret.txt": "a path that climbs out",
    "{run}/secret.txt": "an absolute path",
    "link": "a link that leads out",
    "../served-not/secret.txt": "a neighbour whose name begins like the folder's",
    ".": "the folder itself",
}


@dataclass(frozen=True)
class Seen(slow_download.Seen):
    """`named`: the path in the app's header; `collected`: the path that the routes read in the variable; `leaked_in`:
    the headers in which the client reads it, with the routes off. `outside`: for each name in OUTSIDE a status,
    "secret" or REFUSED_BY_UWSGI."""

    named: str
    collected: str
    leaked_in: tuple[str, ...]
    outside: dict[str, str]


def observe(stage: Stage) -> Seen:
    """Download slowly, request with the routes off, request files outside, and read the app's own header."""
    served = stage.run / "served"
    (served / SMALL).write_text("hello\n")
    seen = slow_download.observe(stage)
    headers = probe(stage)
    leaked_in = [name for name, value in headers.items() if value.startswith(str(served)) and name != REPORTED]
    return Seen(
        **vars(seen),
        named=header_value(stage),
        collected=headers.get(REPORTED, ""),
        leaked_in=tuple(leaked_in),
        outside=ask_outside(stage),
    )


def probe(stage: Stage) -> dict[str, str]:
    with suppress(OSError, http.client.HTTPException):
        return dict(fetch(stage.port, f"{stage.step.path}?{PROBE}").headers.items())
    return {}


def header_value(stage: Stage) -> str:
    """The app's header, whatever the INI does with it: another stage collects it before the INI's lines do."""
    first = ("--pull-header", f"{HEADER} LAB_SAID", *routes_off("LAB_SAID"))
    with Stage(stage.step, stage.variant.name, options=first, placeholders={"mib": "1"}) as other:
        (other.run / "served" / SMALL).write_text("hello\n")
        return probe(other).get(REPORTED, "")


def ask_outside(stage: Stage) -> dict[str, str]:
    neighbour = stage.run / "served-not"
    neighbour.mkdir()
    for folder in (stage.run, neighbour):
        (folder / "secret.txt").write_bytes(SECRET)
    (stage.run / "served" / "link").symlink_to(stage.run / "secret.txt")
    return {what: ask(stage, name.format(run=stage.run)) for name, what in OUTSIDE.items()}


def ask(stage: Stage, name: str) -> str:
    """HEAD never reaches uWSGI's routes, so its status is the app's own decision about the name."""
    target = f"{stage.step.path}?name={name}"
    got, of_the_app = status_and_body(stage, target, "GET"), status_and_body(stage, target, "HEAD")
    if got[1] == SECRET:
        return "secret"
    return REFUSED_BY_UWSGI if of_the_app[0] == 200 != got[0] else str(got[0])


def status_and_body(stage: Stage, target: str, method: str) -> tuple[int, bytes]:
    """The status is 0 for an empty reply."""
    try:
        answer = fetch(stage.port, target, method=method)
    except (OSError, http.client.HTTPException):
        return 0, b""
    return answer.status, answer.body


# --- rules: a sentence where they match


def header_not_collected(seen: Seen) -> str | None:
    if seen.collected or HEADER not in seen.leaked_in:
        return None
    return (
        f"the app sent its header {HEADER}, and uWSGI passed it on to the client, which reads where your files are and"
        f" gets {seen.arrived} bytes of them: nothing put the header's value into ${{{VARIABLE}}}, so no route acted."
    )


def variable_name_differs(seen: Seen) -> str | None:
    if seen.collected or seen.leaked_in or not seen.named:
        return None
    return (
        f"the app sent its header {HEADER}, and uWSGI removed it from the response, but ${{{VARIABLE}}}, which the"
        f" routes read, is empty: the value is in another variable. The client got {seen.status!r} and {seen.arrived}"
        " bytes."
    )


def header_reaches_client(seen: Seen) -> str | None:
    if not seen.collected or HEADER not in seen.leaked_in:
        return None
    return (
        f"the file arrives, since the routes had its path in ${{{VARIABLE}}}; but the header {HEADER} stayed in the"
        " response as well. uWSGI drops all headers when a route sends the file. Where none does, as tried here, the"
        " client reads your path."
    )


def no_sendfile_header(seen: Seen) -> str | None:
    if seen.named or seen.leaked_in or seen.arrived or seen.raised or not seen.status:
        return None
    return (
        f"the client got {seen.status!r} and {seen.arrived} bytes: the app's response has no header {HEADER}, with the"
        " routes on or off. uWSGI does not know which file to send."
    )


def no_status_line(seen: Seen) -> str | None:
    if seen.status or seen.collected or seen.raised or seen.spins:
        return None
    return (
        "the client got an empty reply, and the log has no exception: the app returned without a status line."
        " start_response() sends it."
    )


def another_header(seen: Seen) -> str | None:
    if seen.named or not seen.leaked_in:
        return None
    return (
        f"the app named the file in {seen.leaked_in[0]}, a header that uWSGI does not read: it reached the client,"
        f" which reads your path there and gets {seen.arrived} bytes of the file."
    )


def route_never_matches(seen: Seen) -> str | None:
    if not seen.collected or not seen.status.startswith("200") or seen.arrived:
        return None
    return (
        f"${{{VARIABLE}}} held a path once the app had answered, and no route sent that file: the client got"
        f" {seen.status!r} and {seen.arrived} bytes, and {offloaded(seen)}."
    )


def offloaded(seen: Seen) -> str:
    threads = any(worker.may_offload for worker in seen.snapshot.front.workers)
    return "the offload thread stayed idle" if threads else "there is no offload thread"


def route_sends_something_else(seen: Seen) -> str | None:
    if not seen.collected.startswith("/") or seen.status or seen.arrived:
        return None
    return (
        "the header named a file that exists, and a route acted, but it gave uWSGI another path: uWSGI found no file"
        " and closed the connection without even a status."
    )


def header_names_no_file(seen: Seen) -> str | None:
    if not seen.collected or seen.collected.startswith("/") or seen.arrived:
        return None
    return (
        f"the header says {seen.collected!r}, which is no absolute path: uWSGI looks in the folder where it was started"
        f" and finds no file. The client got {seen.status or 'an empty reply'}."
    )


def leads_outside(seen: Seen) -> str | None:
    got_out = [what for what, answer in seen.outside.items() if answer == "secret"]
    if not got_out or got_out == [OUTSIDE["../served-not/secret.txt"]]:
        return None
    return (
        f"a client requested a file outside of the served folder and got it, by {' and by '.join(got_out)}. uWSGI does"
        " not confine what it sends: the app's check is the only one."
    )


def neighbour_served(seen: Seen) -> str | None:
    got_out = [what for what, answer in seen.outside.items() if answer == "secret"]
    if got_out != [OUTSIDE["../served-not/secret.txt"]]:
        return None
    return (
        f"a client got a file out of {got_out[0]}: served-not begins with the letters of served, and the app compared"
        " letters instead of folders."
    )


def uwsgi_has_to_refuse(seen: Seen) -> str | None:
    refused = [what for what, answer in seen.outside.items() if answer == REFUSED_BY_UWSGI]
    if not refused or not seen.arrived or "secret" in seen.outside.values():
        return None
    return (
        f"the client requested {' and '.join(refused)}, and the app named that file. uWSGI refused the path by itself,"
        " since a link that leads elsewhere is the one case that it stops; the app's own response to HEAD was 200, with"
        " the file's length."
    )


UNTOLD = slow_download.UNTOLD
RULES = (
    *slow_download.RULES,
    header_not_collected,
    variable_name_differs,
    header_reaches_client,
    no_sendfile_header,
    no_status_line,
    another_header,
    route_never_matches,
    route_sends_something_else,
    header_names_no_file,
    leads_outside,
    neighbour_served,
    uwsgi_has_to_refuse,
)
