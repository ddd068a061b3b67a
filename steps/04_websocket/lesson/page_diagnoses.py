"""Ada's browser opens the board from our own page and, with her cookie, from others: which does Django authorise?"""

from dataclasses import dataclass

from offload_lab.clients.raw import IN, Received
from offload_lab.clients.session import login_cookie
from offload_lab.inspect import Snapshot, take_snapshot
from offload_lab.stages.stage import Stage
from offload_lab.uwsgi.logs import last_error

from .diagnoses import connect

SITE, PORT, LOOKALIKE, NOWHERE = "https://evil.example", "http://127.0.0.1:1", "http://{host}.evil.example", None
PAGES = (SITE, PORT, LOOKALIKE, NOWHERE)


@dataclass(frozen=True)
class Seen:
    """`own` is the connection from our own page; `let_in` are the other origins that were connected, the most foreign
    one first; `raised` is the error of Django's view."""

    snapshot: Snapshot
    own: Received
    let_in: tuple[str | None, ...]
    raised: str


def observe(stage: Stage) -> Seen:
    """One connection from our own page, and one from each of PAGES."""
    ada = login_cookie(stage.port, "ada", "lovelace")
    with connect(stage, ada) as own:
        snapshot = take_snapshot(stage.step, stage.variant, stage.run)
    let_in = []
    for origin in PAGES:
        with connect(stage, ada, Origin=origin and origin.format(host=f"127.0.0.1:{stage.port}")) as page:
            let_in += [origin] if IN in page.heads else []
    return Seen(snapshot, own, tuple(let_in), last_error(stage.front.log_tail(60)))


# --- rules: a sentence where they match


def own_page_refused(seen: Seen) -> str | None:
    if seen.own.heads != ["403 Forbidden"]:
        return None
    return (
        "ada, logged in, opened the board from the front's own page, and Django answered '403 Forbidden':"
        f" {seen.own.body.decode(errors='replace').strip()!r}. The page's own origin is not among those that it allows."
    )


def any_page(seen: Seen) -> str | None:
    return let_in(seen, SITE, "Ada's cookie was sent along, and nothing else was checked.")


def begins_like_ours(seen: Seen) -> str | None:
    return let_in(seen, LOOKALIKE, "It begins with ours; but the end of a name decides which host it is.")


def another_port(seen: Seen) -> str | None:
    return let_in(seen, PORT, "Scheme, host and port together are an origin; another port may be another person's.")


def without_origin(seen: Seen) -> str | None:
    return let_in(
        seen, NOWHERE, "Every browser sends an Origin: this is no browser, and may be any program with a cookie."
    )


def let_in(seen: Seen, origin: str | None, why: str) -> str | None:
    """Words where the most foreign page that got in is the one of `origin`."""
    if seen.own.heads != [IN] or not seen.let_in or seen.let_in[0] != origin:
        return None
    page = f"a page of {origin.format(host='127.0.0.1:…')}" if origin else "a client without an Origin"
    return (
        f"{page} opened the board with ada's cookie: Django authorised it, and the backend answered '{IN}'. It reads"
        f" and writes in her name. {why}"
    )


def view_raises(seen: Seen) -> str | None:
    if not seen.raised:
        return None
    return f"Django's view did not authorise or no, it ended with: {seen.raised}"


RULES = (own_page_refused, any_page, begins_like_ours, another_port, without_origin, view_raises)
