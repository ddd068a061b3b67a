"""The app names a file on a slip, its X-Sendfile header, and uWSGI sends it: what became of the slip?"""

import http.client
from contextlib import suppress
from dataclasses import dataclass

from offload_lab.clients import fetch
from offload_lab.exercises import slow_download
from offload_lab.stages.stage import Stage

SLIP, KEPT = "X-Sendfile", "X_SENDFILE"
SMALL = "hello.txt"
# for this request alone the routes end before a file is sent, and tell what they had
PROBE = f"name={SMALL}&routes=off"
SECRET = b"not for visitors"
TOLD = "X-Lab-Told"
REFUSED_BY_UWSGI = "refused by uWSGI"


def routes_off(variable: str) -> tuple[str, ...]:
    """Options that answer PROBE with the value of `variable` in place of the file."""
    asked = "equal:${QUERY_STRING};" + PROBE
    words = (f"{asked} addheader:{TOLD}: ${{{variable}}}", f"{asked} last:")
    return tuple(word for rule in words for word in ("--response-route-if", rule))


OPTIONS = routes_off(KEPT)
OUTSIDE = {
    "../secret.txt": "a path that climbs out",
    "{run}/secret.txt": "an absolute path",
    "link": "a link that leads out",
    "../served-not/secret.txt": "a neighbour whose name begins like the folder's",
    ".": "the folder itself",
}


@dataclass(frozen=True)
class Seen(slow_download.Seen):
    """`said`: the path on the app's slip; `kept`: what the routes had of it; `shown`: the headers by which the visitor
    read it, with the routes off. `outside`: for each name in OUTSIDE a status, "secret" or REFUSED_BY_UWSGI."""

    said: str
    kept: str
    shown: tuple[str, ...]
    outside: dict[str, str]


def observe(stage: Stage) -> Seen:
    """Download slowly, ask with the routes off, ask for what is not to be had, and read the app's slip apart."""
    served = stage.run / "served"
    (served / SMALL).write_text("hello\n")
    seen = slow_download.observe(stage)
    headers = probe(stage)
    shown = [name for name, value in headers.items() if value.startswith(str(served)) and name != TOLD]
    return Seen(
        **vars(seen),
        said=on_the_slip(stage),
        kept=headers.get(TOLD, ""),
        shown=tuple(shown),
        outside=ask_outside(stage),
    )


def probe(stage: Stage) -> dict[str, str]:
    with suppress(OSError, http.client.HTTPException):
        return dict(fetch(stage.port, f"{stage.step.path}?{PROBE}").headers.items())
    return {}


def on_the_slip(stage: Stage) -> str:
    """What the app says, whatever the INI makes of it: another stage takes the slip before the INI's lines do."""
    first = ("--pull-header", f"{SLIP} LAB_SAID", *routes_off("LAB_SAID"))
    with Stage(stage.step, stage.variant.name, options=first, placeholders={"mib": "1"}) as other:
        (other.run / "served" / SMALL).write_text("hello\n")
        return probe(other).get(TOLD, "")


def ask_outside(stage: Stage) -> dict[str, str]:
    neighbour = stage.run / "served-not"
    neighbour.mkdir()
    for folder in (stage.run, neighbour):
        (folder / "secret.txt").write_bytes(SECRET)
    (stage.run / "served" / "link").symlink_to(stage.run / "secret.txt")
    return {what: ask(stage, name.format(run=stage.run)) for name, what in OUTSIDE.items()}


def ask(stage: Stage, name: str) -> str:
    """HEAD never reaches uWSGI's routes, so it tells what the app alone thinks of the name."""
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


# --- rules: words where they match


def slip_ignored(seen: Seen) -> str | None:
    if seen.kept or SLIP not in seen.shown:
        return None
    return (
        f"the app wrote its slip, {SLIP}, and uWSGI sent it on to the visitor, who reads where your files are and gets"
        f" {seen.arrived} bytes of them: nothing put the header's value into ${{{KEPT}}}, and so no route acted."
    )


def slip_under_another_name(seen: Seen) -> str | None:
    if seen.kept or seen.shown or not seen.said:
        return None
    return (
        f"the app wrote its slip, {SLIP}, and uWSGI took it out of the answer, but ${{{KEPT}}}, for which the routes"
        f" ask, is empty: the value went to another name. The visitor got {seen.status!r} and {seen.arrived} bytes."
    )


def slip_shown(seen: Seen) -> str | None:
    if not seen.kept or SLIP not in seen.shown:
        return None
    return (
        f"the file arrives, since the routes had its path in ${{{KEPT}}}; but the header {SLIP} stayed in the answer"
        " as well. As long as a route sends the file all headers go. Where none does, as tried here, the visitor reads"
        " your path."
    )


def no_slip(seen: Seen) -> str | None:
    if seen.said or seen.shown or seen.arrived or seen.raised or not seen.status:
        return None
    return (
        f"the visitor got {seen.status!r} and {seen.arrived} bytes: the app's answer has no {SLIP} header, with the"
        " routes on or off. Nobody told uWSGI which file to send."
    )


def no_status_line(seen: Seen) -> str | None:
    if seen.status or seen.kept or seen.raised or seen.spins:
        return None
    return (
        "the client got an empty reply, and the log has no exception: the app returned without a status line."
        " start_response() sends it."
    )


def another_header(seen: Seen) -> str | None:
    if seen.said or not seen.shown:
        return None
    return (
        f"the app named the file in {seen.shown[0]}, a header that uWSGI does not look for: it went to the visitor, who"
        f" reads your path there and gets {seen.arrived} bytes of the file."
    )


def route_never_matches(seen: Seen) -> str | None:
    if not seen.kept or not seen.status.startswith("200") or seen.arrived:
        return None
    return (
        f"the slip was there, ${{{KEPT}}} held a path once the app had answered, and no route sent that file: the"
        f" visitor got {seen.status!r} and {seen.arrived} bytes, and {offloaded(seen)}."
    )


def offloaded(seen: Seen) -> str:
    belts = sum(len(worker.offload_tids) for worker in seen.snapshot.front.workers)
    return "the offload thread had nothing to do" if belts else "nothing was there to carry it"


def route_sends_something_else(seen: Seen) -> str | None:
    if not seen.kept.startswith("/") or seen.status or seen.arrived:
        return None
    return (
        "the slip was there and named a file that exists, and a route acted, but it asked uWSGI for another path:"
        " uWSGI found no file and closed the connection without even a status."
    )


def slip_names_no_file(seen: Seen) -> str | None:
    if not seen.kept or seen.kept.startswith("/") or seen.arrived:
        return None
    return (
        f"the slip says {seen.kept!r}, which is no whole path: uWSGI looks in the folder where it was started, finds"
        f" no file there. The client got {seen.status or 'an empty reply'}."
    )


def leads_outside(seen: Seen) -> str | None:
    got_out = [what for what, came in seen.outside.items() if came == "secret"]
    if not got_out or got_out == [OUTSIDE["../served-not/secret.txt"]]:
        return None
    return (
        f"a visitor asked for a file outside of the served folder and got it, by {' and by '.join(got_out)}. uWSGI sent"
        " it without a question: it confines nothing, the app's check is the only one."
    )


def neighbour_served(seen: Seen) -> str | None:
    got_out = [what for what, came in seen.outside.items() if came == "secret"]
    if got_out != [OUTSIDE["../served-not/secret.txt"]]:
        return None
    return (
        f"a visitor got a file out of {got_out[0]}: served-not begins with the letters of served, and letters were"
        " compared where folders should have been."
    )


def uwsgi_has_to_refuse(seen: Seen) -> str | None:
    refused = [what for what, came in seen.outside.items() if came == REFUSED_BY_UWSGI]
    if not refused or not seen.arrived or "secret" in seen.outside.values():
        return None
    return (
        f"asked for {' and for '.join(refused)}, the app named the file all the same. uWSGI refused that path by"
        " itself, since a link that leads elsewhere is the one thing that it stops; the app's own answer to HEAD said"
        " 200, and how long the file is."
    )


RULES = (
    *slow_download.RULES,
    slip_ignored,
    slip_under_another_name,
    slip_shown,
    no_slip,
    no_status_line,
    another_header,
    route_never_matches,
    route_sends_something_else,
    slip_names_no_file,
    leads_outside,
    neighbour_served,
    uwsgi_has_to_refuse,
)
